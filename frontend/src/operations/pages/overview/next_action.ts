import { overview } from "@/strings/overview";
import type { Schemas } from "../../api/client";
import type { Freshness } from "../../live/freshness";
import { atTime, type Incident, person, provider, type Status, withoutStop, withStop } from "./words";

const say = overview.action;

export type NextAction =
  /** Leads to the incident: nobody agrees to what they have not seen. */
  | { kind: "approve"; incident: string; why: string }
  | { kind: "resume"; incident: string; why: string }
  | { kind: "return"; why: string }
  | { kind: "step_back"; to: string; why: string }
  /** `incident`, `to`: where to look, and what may be done all the same. */
  | { kind: "nothing" | "unknown"; why: string; incident: string | null; stepBackTo: string | null };

export interface Facts {
  status: Status | null;
  freshness: Freshness;
  cutover: Schemas["CutoverStatus"] | null;
  /** Label of the key; null while it is not known. */
  me: string | null;
}

/** The one thing a person may do now that the service does not do by itself. */
export function nextAction({ status, freshness, cutover, me }: Facts): NextAction {
  if (status === null || !freshness.fresh) return { ...nothing(say.nothingWhy.stale), kind: "unknown" };
  const { incident } = status;
  const to = stepBackTo(status);
  const speechFails = status.verdict === "FAIL";
  const returning = cutover && returnFrom(cutover, speechFails && incident === null);
  if (incident) {
    const wanted = forIncident(incident, me);
    if (wanted.kind !== "nothing") return wanted;
    const stuck = incident.state === "OPEN" && incident.instruction !== null;
    if (returning) return returning;
    if (stuck && to !== null) return { kind: "step_back", to, why: say.stepBackWhy(provider(to)) };
    return wanted;
  }
  if (returning) return returning;
  if (speechFails) {
    return to === null
      ? nothing(say.nothingWhy.knownGood(provider(status.known_good)))
      : { kind: "step_back", to, why: say.stepBackWhy(provider(to)) };
  }
  if (status.verdict === "BLIND" || status.observed_at === null)
    return nothing(say.nothingWhy.unseen, null, to);
  if (status.families.some((family) => family.verdict === "FAIL")) {
    return nothing(say.nothingWhy.failing, null, to);
  }
  if (status.drift.drifting || status.writes_frozen || Object.keys(status.alarms).length > 0) {
    return nothing(say.nothingWhy.alarm, null, to);
  }
  const running = cutover?.cutover;
  if (running && isOn(running)) return nothing(say.nothingWhy.cutover(running.percent), null, to);
  return nothing(say.nothingWhy.safe, null, to);
}

function nothing(why: string, incident: string | null = null, to: string | null = null) {
  return { kind: "nothing" as const, why, incident, stepBackTo: to };
}

/** Where a step back by hand would lead; null where the known-good provider serves already. */
function stepBackTo(status: Status): string | null {
  if (status.mode === null || status.mode.value === status.known_good) return null;
  return status.known_good;
}

function forIncident(incident: Incident, me: string | null): NextAction {
  const { id, state, order } = incident;
  if (order?.kind === "abort") return nothing(say.nothingWhy.aborting, id);
  if (order?.kind === "hold") {
    return {
      kind: "resume",
      incident: id,
      why: say.resumeWhy.held(person(order.by), withStop(order.reason)),
    };
  }
  const plan = incident.plans.find((one) => one.open);
  if (plan) return forPlan(id, plan, me);
  switch (state) {
    case "HOLD":
      return { kind: "resume", incident: id, why: say.resumeWhy.hold };
    case "FROZEN":
      return { kind: "resume", incident: id, why: say.resumeWhy.frozen };
    case "RESTORING":
      return nothing(say.nothingWhy.restoring, id);
    case "OPEN":
      return nothing(say.nothingWhy.deciding, id);
    case "MITIGATED":
      return nothing(incident.times.verified ? say.nothingWhy.proving : say.nothingWhy.verifying, id);
    default:
      return nothing(say.nothingWhy.closing, id);
  }
}

function forPlan(incident: string, plan: Schemas["Plan"], me: string | null): NextAction {
  const missing = Math.max(1, plan.approvals - plan.approved_by.length);
  const persons = overview.sentence.persons(missing);
  const same = (actor: string) => me !== null && person(actor).toLowerCase() === me.toLowerCase();
  if (same(plan.requested_by)) return nothing(say.nothingWhy.own, incident);
  if (plan.approved_by.some(same)) return nothing(say.nothingWhy.agreed(persons), incident);
  const why = say.approveWhy(withoutStop(plan.title), persons, atTime(plan.expires_at));
  return { kind: "approve", incident, why };
}

function isOn(cutover: Schemas["CutoverPlan"]): boolean {
  return cutover.state === "running" || cutover.state === "paused" || cutover.state === "finishing";
}

function returnFrom(
  { cutover, judgement }: Schemas["CutoverStatus"],
  speechFails: boolean,
): NextAction | null {
  if (cutover === null || !isOn(cutover)) return null;
  const failing = judgement?.failing ?? [];
  if (failing.length === 0 && !speechFails) return null;
  const because =
    failing.length > 0 ? overview.cutoverWhy.failing(failing.join(", ")) : overview.cutoverWhy.speech;
  return { kind: "return", why: say.returnWhy(cutover.percent, because) };
}
