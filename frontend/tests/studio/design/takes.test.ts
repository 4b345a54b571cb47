import { expect, test } from "vitest";
import type { Schemas } from "@/studio/api/client";
import { isOver, keptAs, takesOf } from "@/studio/pages/design/takes";

function task(id: string, at: string, more: Partial<Schemas["Task"]> = {}): Schemas["Task"] {
  return {
    id,
    type: "design_preview",
    status: "completed",
    result: { audio_url: "/objects/references/x" },
    error: null,
    provider: "qwen",
    provider_status: null,
    provider_poll_count: 0,
    modal_status: null,
    modal_elapsed_seconds: null,
    modal_poll_count: 0,
    generation_id: null,
    voice_id: null,
    created_at: `2026-11-29T10:${at}:00Z`,
    completed_at: null,
    delivery: "queued",
    brief: { text: "Good morning.", language: "English", instruct: "warm" },
    ...more,
  };
}

test("previews are numbered in the order in which they were asked for, and shown newest first", () => {
  const takes = takesOf([
    task("c", "30"),
    task("a", "10"),
    task("x", "20", { type: "generate" }),
    task("b", "15"),
  ]);
  expect(takes.map((take) => [take.id, take.number])).toEqual([
    ["c", 3],
    ["b", 2],
    ["a", 1],
  ]);
});

test("only what cannot change any more is over", () => {
  const over = (["pending", "processing", "completed", "failed", "cancelled"] as const).map((status) =>
    isOver({ status }),
  );
  expect(over).toEqual([false, false, true, true, true]);
});

test("a kept preview names its voice", () => {
  const [kept, other] = takesOf([task("a", "10", { voice_id: "v" }), task("b", "05")]);
  expect(kept && keptAs(kept)).toBe("v");
  expect(other && keptAs(other)).toBeNull();
});
