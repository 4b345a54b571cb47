import { expect, test } from "vitest";
import {
  intentOf,
  isShown,
  news,
  storyOf,
  timeBoxOf,
  wordOf,
  wordsOf,
} from "@/operations/pages/incidents/story";
import { entry, line } from "./fixtures";

const STEP = { step: "redeploy", action: "env_switch" } as const;

test("a step keeps its identity: to come, running, done", () => {
  const before = storyOf([line({ ...STEP, seq: null, at: null, kind: "step", state: "to come" })]);
  const during = storyOf([line({ ...STEP, seq: 14, kind: "intent", state: "running" })]);
  const after = storyOf([line({ ...STEP, seq: 15, kind: "outcome", state: "done" })]);
  expect(new Set([before[0]?.id, during[0]?.id, after[0]?.id]).size).toBe(1);
});

test("a state that is to come and the entry that brings it are one line", () => {
  const coming = storyOf([line({ kind: "state", word: "MITIGATED", seq: null, state: "to come" })]);
  const there = storyOf([line({ kind: "state", word: "MITIGATED", seq: 20 })]);
  expect(coming[0]?.id).toBe(there[0]?.id);
});

test("a second attempt is a line of its own, and every identity is there once", () => {
  const lines = storyOf([
    line({ ...STEP, seq: 15, state: "failed" }),
    line({ kind: "page", seq: 16, step: null }),
    line({ kind: "page", seq: 17, step: null }),
    line({ ...STEP, seq: 19, state: "done" }),
    line({ ...STEP, action: "code_rollback", seq: 25 }),
  ]);
  expect(new Set(lines.map((one) => one.id)).size).toBe(5);
});

test("news are lines that came or moved on, never what is to come", () => {
  const before = storyOf([
    line({ kind: "opened", seq: 3, state: "told" }),
    line({ ...STEP, seq: 14, kind: "intent", state: "running" }),
    line({ step: "read_back", action: "env_switch", seq: null, kind: "step", state: "to come" }),
  ]);
  const after = storyOf([
    line({ kind: "opened", seq: 3, state: "told" }),
    line({ ...STEP, seq: 15, state: "done" }),
    line({ step: "read_back", action: "env_switch", seq: 16, kind: "intent", state: "running" }),
    line({ kind: "state", word: "MITIGATED", seq: null, state: "to come" }),
  ]);
  expect(news(before, after).map((one) => one.seq)).toEqual([15, 16]);
  expect(news(after, after)).toEqual([]);
});

test("filters: decisions, steps, people", () => {
  const opened = line({ kind: "opened" });
  const step = line({ ...STEP });
  const note = line({ kind: "note", actor: "person:ann" });
  const approval = line({ kind: "approval", actor: "person:ann" });
  expect([opened, step, note, approval].map((one) => isShown(one, "decisions"))).toEqual([
    true,
    false,
    false,
    true,
  ]);
  expect([opened, step, note, approval].map((one) => isShown(one, "steps"))).toEqual([
    false,
    true,
    false,
    false,
  ]);
  expect([opened, step, note, approval].map((one) => isShown(one, "people"))).toEqual([
    false,
    false,
    true,
    true,
  ]);
  expect([opened, step, note].every((one) => isShown(one, "all"))).toBe(true);
});

test("an outcome finds the entry in which its own attempt began", () => {
  const journal = [
    entry({ seq: 10, kind: "intent", step: "redeploy", body: { key: "one", time_box_s: 210 } }),
    entry({ seq: 11, kind: "outcome", step: "redeploy", body: { key: "one" } }),
    entry({ seq: 12, kind: "intent", step: "redeploy", body: { key: "two", time_box_s: 90 } }),
    entry({ seq: 13, kind: "outcome", step: "redeploy", body: { key: "two" } }),
  ];
  expect(intentOf(line({ ...STEP, seq: 11 }), journal)?.seq).toBe(10);
  expect(timeBoxOf(intentOf(line({ ...STEP, seq: 13 }), journal))).toBe(90);
  expect(timeBoxOf(intentOf(line({ ...STEP, seq: 12, kind: "intent" }), journal))).toBe(90);
  expect(intentOf(line({ ...STEP, seq: 99 }), [])).toBeNull();
  expect(timeBoxOf(null)).toBeNull();
});

test("words of a line, and of the steps of a plan", () => {
  expect(wordOf(line({ ...STEP, state: "running", kind: "intent" }))).toBe("redeploy, running");
  expect(wordOf(line({ kind: "state", word: "HOLD" }))).toBe("On hold");
  expect(wordOf(line({ kind: "something new", word: "new" }))).toBe("new");
  const coming = line({ ...STEP, seq: null, state: "to come", text: "start every process anew" });
  expect(wordsOf("env_switch", [coming]).get("redeploy")).toBe("start every process anew");
});
