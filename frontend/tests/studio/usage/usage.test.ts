import { expect, test } from "vitest";
import type { Schemas } from "@/studio/api/client";
import { dayProblems, spanOf } from "@/studio/pages/usage/periods";
import { allowanceOf, linesOf, operationName, spoken, sumOf } from "@/studio/pages/usage/summing";

const NOW = new Date("2026-01-03T15:00:00Z");
const NO_DAYS = { from: "", until: "" };

test("periods begin and end at midnight UTC", () => {
  expect(spanOf("this_month", NO_DAYS, NOW)).toEqual({});
  expect(spanOf("last_month", NO_DAYS, NOW)).toEqual({
    since: "2025-12-01T00:00:00.000Z",
    until: "2026-01-01T00:00:00.000Z",
  });
  expect(spanOf("last_7_days", NO_DAYS, NOW)).toEqual({ since: "2025-12-28T00:00:00.000Z" });
  expect(spanOf("custom", { from: "2025-12-31", until: "2025-12-31" }, NOW)).toEqual({
    since: "2025-12-31T00:00:00.000Z",
    until: "2026-01-01T00:00:00.000Z",
  });
});

test("days that make no period are said, and not asked for", () => {
  expect(dayProblems({ from: "2026-01-02", until: "2026-01-01" }, NOW)).toHaveProperty("until");
  expect(dayProblems({ from: "2026-02-01", until: "2026-02-02" }, NOW)).toHaveProperty("from");
  expect(dayProblems({ from: "", until: "2026-01-01" }, NOW)).toHaveProperty("from");
  expect(dayProblems({ from: "2026-01-01", until: "2026-01-03" }, NOW)).toEqual({});
  expect(spanOf("custom", NO_DAYS, NOW)).toBeNull();
});

function paid(over: Partial<Schemas["PaidUsage"]>): Schemas["PaidUsage"] {
  return {
    operation: "speak",
    provider: "qwen",
    calls: 1,
    characters: 10,
    audio_seconds: 1,
    cost_microusd: 100,
    ...over,
  };
}

test("what was done is one line, whoever did it", () => {
  const lines = linesOf([
    paid({ operation: "design", characters: 0 }),
    paid({}),
    paid({ provider: "modal", calls: 2, audio_seconds: 2.5, cost_microusd: 50 }),
    paid({ operation: "sing" }),
  ]);
  expect(lines.map((line) => line.operation)).toEqual(["speak", "design", "sing"]);
  expect(lines[0]).toMatchObject({ calls: 3, characters: 20, seconds: 3.5, microusd: 150 });
  expect(sumOf(lines)).toMatchObject({ calls: 5, microusd: 350 });
  expect(operationName("enroll")).toBe("Cloning voices");
  expect(operationName("sing")).toBe("Other");
});

test("how long somebody spoke", () => {
  expect(["0.2", "42", "185", "4000"].map(Number).map(spoken)).toEqual([
    "–",
    "42 s",
    "3 min 05 s",
    "1 h 06 min",
  ]);
});

test("a budget says what, for how long, and what is left", () => {
  const day = "2026-01-04T00:00:00Z";
  expect(
    allowanceOf({
      budget: "generation-day",
      unit: "microusd",
      limit: 5e6,
      used: 1.25e6,
      left: 3.75e6,
      resets_at: day,
    }),
  ).toMatchObject({ name: "Speech today", text: "$1.25 of $5.00 used", left: "$3.75 left" });
  expect(
    allowanceOf({ budget: "creates-hour", unit: "creates", limit: 3, used: 3, left: 0, resets_at: day }),
  ).toMatchObject({ name: "New voices this hour", text: "3 of 3 used", left: "Used up" });
});
