import { expect, test } from "vitest";
import { isOn, mayBegin, moveLimitsOf, movesLeft, plainly, stepsOf } from "@/operations/pages/cutover/stages";
import { row, status } from "./judged";

const NOW = new Date("2026-11-29T12:00:00Z");
const LIMITS = { spacing_s: 900, moves: 2, period_s: 21_600 };
const move = (at: string, forgiven = false) => ({ at, what: "a move", actor: "person:ann", forgiven });

const standings = (changes: Parameters<typeof status>[0]) =>
  stepsOf(status(changes)).map((step) => step.standing);

test("the stage that is on stands between what is done and what is to come", () => {
  expect(standings({})).toEqual(["done", "now", "to come"]);
  expect(standings({ cutover: null })).toEqual(["to come", "to come", "to come"]);
});

test("a cutover that was returned ended at its stage; a complete one has done them all", () => {
  expect(standings({ cutover: row({ state: "returned" }) })).toEqual(["done", "left", "to come"]);
  expect(standings({ cutover: row({ state: "complete", stage: 2 }) })).toEqual(["done", "done", "done"]);
});

test("a stage began with the oldest change of this cutover that was made in it", () => {
  const change = (seq: number, stage: number, changed_at: string) => ({
    ...row({ seq, stage, changed_at }),
    evidence: {},
  });
  const history = [
    change(3, 0, "2026-11-29T10:30:00Z"),
    change(3, 0, "2026-11-29T10:00:00Z"),
    change(2, 0, "2026-11-20T10:00:00Z"),
  ];
  expect(stepsOf(status({ history })).map((step) => step.since)).toEqual([
    "2026-11-29T10:00:00Z",
    "2026-11-29T11:00:00Z",
    null,
  ]);
});

test("orders may be given while it runs, is paused or finishes", () => {
  expect(isOn(null)).toBe(false);
  expect((["running", "paused", "finishing"] as const).every((state) => isOn(row({ state })))).toBe(true);
  expect(isOn(row({ state: "complete" }))).toBe(false);
});

test("another one may be begun unless the candidate serves everybody", () => {
  expect(mayBegin(status({ cutover: null }))).toBe(true);
  expect(mayBegin(status({}))).toBe(false);
  const complete = row({ state: "complete" });
  expect(mayBegin(status({ cutover: complete, mode: { value: "qwen", epoch: 20 } }))).toBe(false);
  expect(mayBegin(status({ cutover: complete, mode: { value: "modal", epoch: 21 } }))).toBe(true);
});

test("moves are counted as the guard counts them", () => {
  const moves = [
    move("2026-11-29T05:59:00Z"),
    move("2026-11-29T08:00:00Z", true),
    move("2026-11-29T11:00:00Z"),
  ];
  const record = { ...status().moves, moves };
  expect(movesLeft(record, LIMITS, NOW)).toBe(1);
  expect(movesLeft({ ...record, frozen: { at: "2026-11-29T11:00:00Z", why: "too many" } }, LIMITS, NOW)).toBe(
    0,
  );
});

test("limits are read from the policy, or not at all", () => {
  expect(moveLimitsOf({ cutover: { limits: LIMITS } })).toEqual(LIMITS);
  expect(moveLimitsOf({ cutover: {} })).toBeNull();
  expect(moveLimitsOf(undefined)).toBeNull();
});

test("the guard's sentences begin large, and long times are minutes", () => {
  expect(plainly("it is held for 2280 s more")).toBe("It is held for 38 min more");
  expect(plainly("64 of 157 calls that rule out 3 % failures")).toBe(
    "64 of 157 calls that rule out 3 % failures",
  );
  expect(plainly("windows of 60 s")).toBe("Windows of 60 s");
});
