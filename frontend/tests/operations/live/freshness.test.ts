import { expect, test } from "vitest";
import { type Heard, judgeFreshness } from "@/operations/live/freshness";
import { tabTitle } from "@/operations/live/tab_title";
import { FRESH, familyOf, incidentOf, LOST, planOf, statusOf } from "../fixtures";

const T = Date.parse("2026-11-29T02:00:00Z");
const after = (seconds: number) => new Date(T + seconds * 1000);
const heard = (given: Partial<Heard> = {}): Heard => ({
  connection: "live",
  heardAt: after(0),
  lookedAt: after(-1),
  ...given,
});

test.each([
  ["just heard", heard(), 1, null],
  ["11 s without a word", heard(), 11, null],
  ["12 s without a word", heard(), 12, "silent"],
  ["the connection is made again", heard({ connection: "lost" }), 3, null],
  ["the connection stays away", heard({ connection: "lost" }), 4, "lost"],
  ["it answers, but does not look", heard({ lookedAt: after(-11) }), 0, "stuck"],
  ["it did not say when it looked", heard({ lookedAt: null }), 1, null],
  ["nothing yet", heard({ connection: "connecting", heardAt: null, lookedAt: null }), 0, "waiting"],
  ["never anything", heard({ connection: "lost", heardAt: null, lookedAt: null }), 0, "lost"],
  ["a clock that was set back", heard(), -600, null],
] as const)("%s", (_, given, seconds, reason) => {
  const found = judgeFreshness(given, after(seconds));
  expect(found.reason).toBe(reason);
  expect(found.fresh).toBe(reason === null);
});

test("it is true as of the guard's last look, not of its last word", () => {
  expect(judgeFreshness(heard({ lookedAt: after(-30) }), after(1)).asOf).toEqual(after(-30));
});

test.each([
  [statusOf(), FRESH, "Operations"],
  [undefined, { ...LOST, reason: "waiting" }, "Operations"],
  [statusOf(), LOST, "? Stale - Operations"],
  [statusOf({ families: [familyOf("cost", "FAIL")] }), FRESH, "! FAIL - Operations"],
  [statusOf({ families: [familyOf("cost", "BLIND")] }), FRESH, "? BLIND - Operations"],
  [statusOf({ incident: incidentOf() }), FRESH, "! RESTORING - Operations"],
  [statusOf({ incident: incidentOf({ plans: [planOf()] }) }), FRESH, "! Approval wanted - Operations"],
  [statusOf({ alarms: { store: "away" } }), FRESH, "! Alarm - Operations"],
] as const)("the tab's title, %#", (status, freshness, title) => {
  expect(tabTitle(status, freshness)).toBe(title);
});
