import { incidents as strings } from "@/strings/incidents";
import type { Schemas } from "../../api/client";
import { type Entry, personOf } from "./story";

export type Incident = Schemas["Incident"];
export type IncidentDetail = Schemas["IncidentDetail"];
export type Plan = Schemas["Plan"];
export type Me = Schemas["Me"];
export type OrderName = "ack" | "note" | "hold" | "resume" | "abort" | "close";
export const ORDERS: readonly OrderName[] = ["ack", "note", "hold", "resume", "abort", "close"];

type State = Incident["state"];
const OVER: ReadonlySet<State> = new Set(["CLOSED", "ABORTED"]);
const STOPPABLE: ReadonlySet<State> = new Set(["OPEN", "RESTORING", "HOLD", "FROZEN"]);

export function isOver(state: State): boolean {
  return OVER.has(state);
}

function same(one: string, other: string): boolean {
  return personOf(one).toLowerCase() === personOf(other).toLowerCase();
}

/**
 * Why an order cannot be given now, as a sentence; null: it can. The guard decides, by the same rules: this only
 * saves a person from being refused.
 */
export function objection(
  order: OrderName,
  incident: Incident,
  journal: readonly Entry[],
  me: Me | null,
): string | null {
  const { state, order: standing } = incident;
  if (isOver(state)) return strings.why.over(strings.stateWord(state));
  switch (order) {
    case "ack":
      return me && incident.acknowledged_by.some((who) => same(who, me.label))
        ? strings.why.acknowledged
        : null;
    case "note":
      return null;
    case "hold":
      if (standing?.kind === "abort") return strings.why.aborting(personOf(standing.by));
      return standing?.kind === "hold" ? strings.why.held(personOf(standing.by)) : null;
    case "resume":
      if (standing?.kind === "abort") return strings.why.aborting(personOf(standing.by));
      if (standing || state === "HOLD" || state === "FROZEN") return null;
      return strings.why.nothingHeld(strings.stateWord(state));
    case "abort":
      if (standing?.kind === "abort") return strings.why.aborting(personOf(standing.by));
      return STOPPABLE.has(state) ? null : strings.why.nothingRuns(strings.stateWord(state));
    case "close":
      if (state === "RESTORING") return strings.why.restoring;
      return (state === "HOLD" || state === "FROZEN") && owes(journal) ? strings.why.frozenWrites : null;
  }
}

/** Whether writes may still be held by a step whose end is not in the journal. */
export function owes(journal: readonly Entry[]): boolean {
  const last = (kind: string, step: string, done: boolean) =>
    journal.findLast(
      (entry) => entry.kind === kind && entry.step === step && (!done || entry.body.ok === true),
    )?.seq ?? 0;
  return last("intent", "freeze_writes", false) > last("outcome", "unfreeze", true);
}

export const PLAN_CHARS = 12;

export function shortHash(plan: Plan): string {
  return plan.plan_sha256.slice(0, PLAN_CHARS);
}

/** How many distinct persons must still agree. */
export function missing(plan: Plan): number {
  return plan.break_glass ? 0 : Math.max(0, plan.approvals - plan.approved_by.length);
}

export function isExpired(plan: Plan, now: Date): boolean {
  return Date.parse(plan.expires_at) <= now.getTime();
}

/** Whether the plan waits for persons now. */
export function waits(plan: Plan, now: Date): boolean {
  return plan.open && !plan.begun && !isExpired(plan, now);
}

/** Why this person cannot agree to this plan, as a sentence; null: they can. */
export function approvalObjection(plan: Plan, me: Me | null, now: Date): string | null {
  if (me === null) return strings.why.unknownKey;
  if (!me.may_approve) return strings.why.machine;
  if (plan.begun) return strings.why.begun;
  if (isExpired(plan, now)) return strings.why.expired;
  if (same(plan.requested_by, me.label)) return strings.why.asked;
  if (plan.approved_by.some((who) => same(who, me.label))) return strings.why.agreed;
  return null;
}

/** Why this person cannot break the glass: fewer reasons, it is for emergencies. */
export function breakGlassObjection(plan: Plan, me: Me | null, now: Date): string | null {
  if (me === null) return strings.why.unknownKey;
  if (!me.may_approve) return strings.why.machine;
  if (plan.begun) return strings.why.begun;
  return isExpired(plan, now) ? strings.why.expired : null;
}

/** Whether what was typed confirms the plan: the first digits of its hash, or the environment's name. */
export function isConfirmed(typed: string, plan: Plan, environment: string): boolean {
  const word = typed.trim().toLowerCase();
  if (word === environment.toLowerCase()) return true;
  return word.length >= PLAN_CHARS && plan.plan_sha256.startsWith(word);
}

/** What a person is needed for now. */
export type Need =
  | { kind: "approve"; plans: Plan[] }
  | { kind: "begins"; plan: Plan }
  | { kind: "aborting"; by: string; reason: string }
  | { kind: "held"; by: string; reason: string }
  | { kind: "expired"; plan: Plan }
  | { kind: "frozen"; instruction: string | null }
  | { kind: "instructed"; instruction: string }
  | { kind: "waiting" }
  | { kind: "none" };

/** The one thing that is asked of a person, the most pressing first. */
export function needOf(incident: Incident, now: Date): Need {
  const { state, order, plans, instruction } = incident;
  if (isOver(state)) return { kind: "none" };
  if (order?.kind === "abort") return { kind: "aborting", by: personOf(order.by), reason: order.reason };
  const open = plans.filter((plan) => waits(plan, now));
  if (open.length > 0) return { kind: "approve", plans: open };
  if (order?.kind === "hold") return { kind: "held", by: personOf(order.by), reason: order.reason };
  if (state === "FROZEN") return { kind: "frozen", instruction };
  if (state === "HOLD") {
    const agreed = plans.find((plan) => !plan.begun && missing(plan) === 0 && !isExpired(plan, now));
    if (agreed) return { kind: "begins", plan: agreed };
    const late = plans.find((plan) => !plan.begun && isExpired(plan, now));
    if (late) return { kind: "expired", plan: late };
    return instruction ? { kind: "instructed", instruction } : { kind: "waiting" };
  }
  return state === "OPEN" && instruction ? { kind: "instructed", instruction } : { kind: "none" };
}
