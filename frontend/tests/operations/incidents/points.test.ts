import { expect, test } from "vitest";
import {
  between,
  intervalsOf,
  pointsOf,
  sinceBegin,
  wholeSeconds,
} from "@/operations/pages/incidents/points";
import { NO_TIMES, TIMES } from "./fixtures";

test("an incident that is over has its eight points, counted from the onset", () => {
  const points = pointsOf(TIMES, true);
  expect(points.map((point) => point.state)).toEqual(Array(8).fill("reached"));
  expect(points[0]?.sinceMs).toBe(0);
  expect(points[4]?.sinceMs).toBe(6339);
});

test("while it runs one point is waited for, and what comes after is ahead", () => {
  const points = pointsOf({ ...TIMES, verified: null, recovered: null, closed: null }, false);
  expect(points.slice(4).map((point) => point.state)).toEqual(["reached", "next", "ahead", "ahead"]);
});

test("what was passed without it is not guessed", () => {
  const valve = pointsOf({ ...TIMES, onset: null, verified: null }, true);
  expect(valve[0]).toMatchObject({ name: "onset", state: "skipped", at: null });
  expect(valve[5]).toMatchObject({ name: "verified", state: "skipped" });
  expect(valve[1]?.sinceMs).toBe(0);
});

test("an aborted incident waits for nothing", () => {
  const states = pointsOf({ ...NO_TIMES, detected: TIMES.detected }, true).map((point) => point.state);
  expect(states).toEqual(["skipped", "reached", ...Array(6).fill("skipped")]);
});

test("intervals are the report's, and unknown where an end is", () => {
  const found = Object.fromEntries(intervalsOf(TIMES).map((one) => [one.name, one.ms]));
  expect(found).toEqual({ detect: 2838, mitigate: 6339, verify: 9179, recover: 27812, close: 27818 });
  expect(intervalsOf({ ...TIMES, onset: null }).every((one) => one.ms === null)).toBe(true);
  expect(sinceBegin({ ...TIMES, onset: null }, "mitigated")).toBe(3501);
  expect(between(TIMES.detected, TIMES.onset)).toBe(0);
});

test("time that passes is said in whole seconds", () => {
  expect(wholeSeconds(-5)).toBe("0 s");
  expect(wholeSeconds(28_900)).toBe("28 s");
  expect(wholeSeconds(185_400)).toBe("3 min 05 s");
});
