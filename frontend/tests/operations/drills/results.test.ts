import { expect, test } from "vitest";
import {
  type Drill,
  inOrder,
  orderFrom,
  orderText,
  pressed,
  recordOf,
} from "@/operations/pages/drills/results";

function drill(changes: Partial<Drill>): Drill {
  return {
    at: "2026-11-29T12:00:00Z",
    scenario: "playback",
    environment: "local",
    detected: true,
    cure: "env_switch",
    verified: true,
    closed: true,
    wrong_actions: 0,
    repeated_side_effects: 0,
    detect_s: 3,
    decide_s: 4,
    mitigate_s: 20,
    verify_s: 40,
    close_s: 60,
    report: null,
    problem: null,
    passed: true,
    ...changes,
  };
}

const ROWS = [
  drill({ at: "2026-11-29T12:00:00Z", mitigate_s: 20 }),
  drill({ at: "2026-11-28T12:00:00Z", mitigate_s: 9, close_s: null }),
  drill({ at: "2026-11-27T12:00:00Z", mitigate_s: 1, passed: false }),
  drill({ at: "2026-11-26T12:00:00Z", scenario: "bad_release", mitigate_s: 90 }),
];

test("best and worst are of the runs that passed", () => {
  expect(recordOf(ROWS, "playback")).toMatchObject({
    runs: 3,
    passed: 2,
    best: 9,
    worst: 20,
    newest: ROWS[0],
  });
  expect(recordOf(ROWS, "cost_runaway")).toEqual({
    runs: 0,
    passed: 0,
    newest: null,
    best: null,
    worst: null,
  });
});

test("what was not reached is last, whichever way it goes", () => {
  const last = (descending: boolean) => inOrder(ROWS, { column: "close_s", descending }).at(-1)?.at;
  expect([last(true), last(false)]).toEqual([ROWS[1]?.at, ROWS[1]?.at]);
});

test("rows go by the column that was pressed, and back at the second press", () => {
  const first = pressed({ column: "at", descending: true }, "mitigate_s");
  expect(inOrder(ROWS, first)[0]?.mitigate_s).toBe(90);
  expect(inOrder(ROWS, pressed(first, "mitigate_s"))[0]?.mitigate_s).toBe(1);
  expect(pressed(first, "scenario")).toEqual({ column: "scenario", descending: false });
});

test("an order stands in the address of the page", () => {
  const order = { column: "close_s", descending: false } as const;
  expect(orderFrom(orderText(order))).toEqual(order);
  expect(orderFrom("nonsense.up")).toEqual({ column: "at", descending: true });
});
