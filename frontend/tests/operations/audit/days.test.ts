import { expect, test } from "vitest";
import { actorsIn, byDay, detailOf, type Entry } from "@/operations/pages/audit/days";
import { isPerson, whoOf } from "@/operations/parts/who";

const entry = (changes: Partial<Entry> = {}): Entry => ({
  at: "2026-11-29T12:00:00Z",
  actor: "person:ann",
  what: "acknowledged the incident",
  reason: "",
  incident: null,
  source: "journal",
  detail: {},
  ...changes,
});

test("entries stand under their day, in their order", () => {
  const days = byDay([entry(), entry({ what: "wrote a note" }), entry({ at: "2026-11-27T12:00:00Z" })]);
  expect(days.map((day) => [day.name, day.entries.length])).toEqual([
    ["29 Nov 2026", 2],
    ["27 Nov 2026", 1],
  ]);
});

test("the same thing done twice in one instant has two identities", () => {
  const [day] = byDay([entry(), entry()]);
  expect(new Set(day?.entries.map((row) => row.id)).size).toBe(2);
});

test("persons come before machines", () => {
  const entries = [entry({ actor: "guard" }), entry({ actor: "person:ben" }), entry()];
  expect(actorsIn(entries)).toEqual(["person:ann", "person:ben", "guard"]);
});

test("the detail does not say the reason again", () => {
  expect(detailOf(entry({ reason: "why", detail: { reason: "why", seq: 1 } }))).toEqual({ seq: 1 });
  expect(detailOf(entry({ reason: "why", detail: { reason: "other" } }))).toEqual({ reason: "other" });
});

test("an actor is named as persons say it", () => {
  expect([whoOf("person:ann"), whoOf("guard"), whoOf("nobody known")]).toEqual([
    "ann",
    "the guard",
    "nobody known",
  ]);
  expect([isPerson("person:ann"), isPerson("guard")]).toEqual([true, false]);
});
