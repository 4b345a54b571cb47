import { expect, test } from "vitest";
import { curesOf, joinPages, stateNamed } from "@/operations/pages/incidents/listing";
import {
  approvalObjection,
  breakGlassObjection,
  isConfirmed,
  missing,
  needOf,
  ORDERS,
  objection,
  owes,
  waits,
} from "@/operations/pages/incidents/permitted";
import { recoveryOf } from "@/operations/pages/incidents/recovering";
import { hasArrived } from "@/operations/pages/incidents/sending";
import { entry, HASH, incident, NOW, plan } from "./fixtures";

const ANN = { label: "ann", may_approve: true };
const MACHINE = { label: "operator.token", may_approve: false };

function allowed(over: Parameters<typeof incident>[0], journal = incident().journal): string[] {
  return ORDERS.filter((order) => objection(order, incident(over), journal, ANN) === null);
}

test("which orders each state allows, as the guard's rules do", () => {
  expect(allowed({ state: "OPEN" })).toEqual(["ack", "note", "hold", "abort", "close"]);
  expect(allowed({ state: "RESTORING" })).toEqual(["ack", "note", "hold", "abort"]);
  expect(allowed({ state: "MITIGATED" })).toEqual(["ack", "note", "hold", "close"]);
  expect(allowed({ state: "RECOVERED" })).toEqual(["ack", "note", "hold", "close"]);
  expect(allowed({ state: "HOLD" })).toEqual(["ack", "note", "hold", "resume", "abort", "close"]);
  expect(allowed({ state: "FROZEN" })).toEqual(["ack", "note", "hold", "resume", "abort", "close"]);
  expect(allowed({ state: "CLOSED" })).toEqual([]);
  expect(allowed({ state: "ABORTED" })).toEqual([]);
});

test("a standing order changes what may follow", () => {
  const hold = { kind: "hold", by: "person:ben", reason: "wait" } as const;
  const abort = { kind: "abort", by: "person:ben", reason: "stop" } as const;
  expect(allowed({ state: "RESTORING", order: hold })).toEqual(["ack", "note", "resume", "abort"]);
  expect(allowed({ state: "RESTORING", order: abort })).toEqual(["ack", "note"]);
  expect(objection("hold", incident({ order: hold }), [], ANN)).toBe("ben holds it already.");
});

test("it is taken on once by each", () => {
  expect(objection("ack", incident({ acknowledged_by: ["person:Ann"] }), [], ANN)).not.toBeNull();
  expect(objection("ack", incident({ acknowledged_by: ["person:ben"] }), [], ANN)).toBeNull();
});

test("closing is refused while writes are held", () => {
  const frozen = [entry({ seq: 5, kind: "intent", step: "freeze_writes" })];
  const failed = [...frozen, entry({ seq: 9, kind: "outcome", step: "unfreeze", body: { ok: false } })];
  const free = [...frozen, entry({ seq: 9, kind: "outcome", step: "unfreeze", body: { ok: true } })];
  expect([frozen, failed, free].map(owes)).toEqual([true, true, false]);
  expect(objection("close", incident({ state: "HOLD" }), failed, ANN)).toMatch(/writes frozen/);
  expect(objection("close", incident({ state: "HOLD" }), free, ANN)).toBeNull();
});

test("who may agree", () => {
  expect(approvalObjection(plan(), ANN, NOW)).toBeNull();
  expect(approvalObjection(plan(), null, NOW)).not.toBeNull();
  expect(approvalObjection(plan(), MACHINE, NOW)).toMatch(/machine/);
  expect(approvalObjection(plan({ requested_by: "person:Ann" }), ANN, NOW)).toMatch(/somebody else/);
  expect(approvalObjection(plan({ approvals: 2, approved_by: ["person:ann"] }), ANN, NOW)).toMatch(/already/);
  expect(approvalObjection(plan({ begun: true }), ANN, NOW)).toMatch(/begun/);
  expect(approvalObjection(plan(), ANN, new Date("2026-11-29T15:16:00Z"))).toMatch(/over/);
});

test("whoever asked may break the glass; the machine may not", () => {
  expect(breakGlassObjection(plan({ requested_by: "person:ann" }), ANN, NOW)).toBeNull();
  expect(breakGlassObjection(plan(), MACHINE, NOW)).toMatch(/machine/);
  expect(breakGlassObjection(plan({ begun: true }), ANN, NOW)).toMatch(/begun/);
});

test("two distinct persons, unless the glass is broken", () => {
  expect(missing(plan({ approvals: 2 }))).toBe(2);
  expect(missing(plan({ approvals: 2, approved_by: ["person:ann"] }))).toBe(1);
  expect(missing(plan({ approvals: 2, approved_by: ["person:ann"], break_glass: true }))).toBe(0);
});

test("what confirms a plan", () => {
  expect(isConfirmed(" 23641C322A2B ", plan(), "local")).toBe(true);
  expect(isConfirmed(HASH, plan(), "local")).toBe(true);
  expect(isConfirmed("Local", plan(), "local")).toBe(true);
  for (const no of ["", "2", "23641c322a2", "local ly", "ffffffffffff", `${HASH}0`]) {
    expect(isConfirmed(no, plan(), "local")).toBe(false);
  }
});

test("the one thing that is needed, the most pressing first", () => {
  const order = { kind: "hold", by: "person:ben", reason: "wait" } as const;
  const need = (over: Parameters<typeof incident>[0]) => needOf(incident(over), NOW).kind;
  expect(need({ plans: [plan()], order })).toBe("approve");
  expect(need({ plans: [plan()], order: { ...order, kind: "abort" } })).toBe("aborting");
  expect(need({ order })).toBe("held");
  expect(need({ state: "FROZEN", instruction: "look" })).toBe("frozen");
  expect(need({ plans: [plan({ open: false, expires_at: "2026-11-29T15:09:59Z" })] })).toBe("expired");
  expect(need({ plans: [plan({ open: false, approved_by: ["person:ann"] })] })).toBe("begins");
  expect(need({ instruction: "Restore the key." })).toBe("instructed");
  expect(need({})).toBe("waiting");
  expect(need({ state: "OPEN", instruction: "Restore the key." })).toBe("instructed");
  expect(need({ state: "RESTORING", instruction: "old" })).toBe("none");
  expect(need({ state: "CLOSED", plans: [plan()] })).toBe("none");
  expect(waits(plan({ open: true }), new Date("2026-11-29T15:17:00Z"))).toBe(false);
});

test("an order has arrived when its entry is in the journal", () => {
  const sent = { label: "Hold", seq: 7, unknown: false };
  expect(hasArrived(sent, incident(), [])).toBe(false);
  expect(hasArrived(sent, incident(), [entry({ seq: 7 })])).toBe(true);
  expect(hasArrived({ ...sent, seq: null }, incident(), [])).toBe(false);
  expect(hasArrived({ ...sent, seq: null }, incident({ state: "CLOSED" }), [])).toBe(true);
  expect(hasArrived({ ...sent, seq: null, unknown: true }, incident({ state: "CLOSED" }), [])).toBe(false);
});

test("the list joins pages, knows its states, and says the cure", () => {
  const one = incident({ id: "a" });
  const two = incident({ id: "b" });
  const pages = [
    { incidents: [one, two], next_offset: 2 },
    { incidents: [two], next_offset: null },
  ];
  expect(joinPages(pages).map((row) => row.id)).toEqual(["a", "b"]);
  expect(stateNamed("HOLD")).toBe("HOLD");
  expect(stateNamed("hold'--")).toBeNull();
  const begun = entry({ kind: "begun", body: { action: "env_switch" } });
  expect(curesOf(incident({ journal: [begun, begun] }))).toEqual(["env switch"]);
  const { journal: _, ...listed } = incident({ plans: [plan({ begun: true, action: "code_rollback" })] });
  expect(curesOf({ ...listed, cures: undefined } as never)).toEqual(["code rollback"]);
});

test("recovery: of the open one as it is seen now, of another as it had recovered", () => {
  const recovery = {
    recovered: true,
    waiting_for: [],
    n: 4,
    failures: 0,
    successes: {},
    overdue: false,
    windows: [],
  };
  const over = incident({ journal: [entry({ kind: "state", body: { to: "RECOVERED", recovery } })] });
  expect(recoveryOf(over, null)).toEqual(recovery);
  expect(recoveryOf(incident(), null)).toBeNull();
  const status = { incident: incident(), recovery: { ...recovery, recovered: false } };
  expect(recoveryOf(incident(), status as never)?.recovered).toBe(false);
  expect(recoveryOf(incident({ id: "other" }), status as never)).toBeNull();
});
