import { count } from "@/shared/format";
import type { Tone } from "@/shared/layout";
import { live } from "@/strings/live";
import { operations } from "@/strings/operations";
import { overview } from "@/strings/overview";
import type { Schemas } from "../../api/client";
import type { Freshness } from "../../live/freshness";
import { factsOf, type IncidentFacts, OF_SPEECH } from "./incident_facts";
import {
  atTime,
  family,
  type Incident,
  type IncidentDetail,
  person,
  provider,
  rate,
  type Status,
  span,
  withoutStop,
  withStop,
} from "./words";

const say = overview.sentence;

/** Everything the sentence rests on. */
export interface Known {
  status: Status | null;
  freshness: Freshness;
  /** The open incident with its journal, where it was loaded. */
  incident: IncidentDetail | null;
  checklist: Schemas["Checklist"] | null;
}

export interface Sentence {
  tone: Tone;
  /** The one in large type. */
  text: string;
  /** What must be known besides, each a whole sentence. */
  more: readonly string[];
  /** Whether it is about now. If not, `text` says since when nothing is known. */
  present: boolean;
}

/** What is read in one glance has at most so many characters. */
const GLANCE_CHARS = 60;

/** What is read in one glance, and what is read after it: figures, what is done, what it waits for. */
export function parted(text: string): [first: string, rest: string] {
  const stop = text.indexOf(". ");
  const colon = text.indexOf(": ");
  const long = stop < 0 || stop > GLANCE_CHARS;
  const end = long && colon > 0 && (stop < 0 || colon < stop) ? colon : stop;
  return end < 0 ? [text, ""] : [text.slice(0, end + 1), text.slice(end + 2)];
}

/** The state of speech in one sentence. What is old is never said as if it were so now. */
export function sentenceFor(known: Known): Sentence {
  const { status, freshness } = known;
  if (status === null) {
    const waiting = freshness.reason === "waiting" || freshness.fresh;
    return {
      tone: waiting ? "idle" : "blind",
      text: waiting ? say.asking : say.unreachable,
      more: [],
      present: false,
    };
  }
  const now = presentSentence(status, known);
  if (freshness.fresh) return now;
  const at = status.observed_at ?? status.now;
  return {
    tone: "blind",
    text: say.past(atTime(at)),
    more: [live.reasons[freshness.reason ?? "silent"], say.pastWas(now.text), ...now.more],
    present: false,
  };
}

function presentSentence(status: Status, known: Known): Sentence {
  const said = status.incident ? ofIncident(status, status.incident, known) : ofQuiet(status);
  const besides = besidesOf(status);
  const worse = besides.some((one) => one.serious) && (said.tone === "pass" || said.tone === "idle");
  return {
    tone: worse ? "warn" : said.tone,
    text: said.text,
    more: [...(said.more ?? []), ...besides.map((one) => one.text)],
    present: true,
  };
}

interface Said {
  tone: Tone;
  text: string;
  more?: string[];
}

// --- no incident ---------------------------------------------------------------------------------------------

function ofQuiet(status: Status): Said {
  const freeze = status.writes_frozen;
  if (status.observed_at === null) return { tone: "blind", text: say.notLooked };
  if (freeze) {
    return { tone: "fail", text: say.frozenWrites(...closed(freeze)) };
  }
  const speech = ofSpeech(status);
  if (speech.tone === "fail" || speech.tone === "blind") return speech;
  const failing = otherFamilies(status, "FAIL");
  if (failing.length === 0) return speech;
  const first = failing.map((one) => overview.familyFails(family(one.trigger), withoutStop(one.detail)));
  return { tone: "fail", text: say.otherFailing(speech.text, first.join("; ")) };
}

const SUCCESS = "success_rate";

function otherFamilies(status: Status, verdict: "FAIL" | "BLIND"): Status["families"] {
  return status.families.filter((one) => one.trigger !== SUCCESS && one.verdict === verdict);
}

function ofSpeech(status: Status): Said {
  const serves = provider(status.mode?.value);
  const finding = status.finding;
  const blind = status.sources?.calls.blind ?? (status.verdict === "BLIND" ? finding?.detail : null);
  if (blind) return { tone: "blind", text: say.blind(withoutStop(blind)) };
  const window = status.windows[0];
  const total = window?.total ?? 0;
  const failed = window?.failed ?? 0;
  const length = span(finding?.window_s ?? 60);
  switch (status.verdict) {
    case "PASS":
      return {
        tone: "pass",
        text:
          total > 0
            ? say.safe(serves, rate(total, failed), count(total), length)
            : say.safeQuiet(serves, length),
      };
    case "FAIL": {
      const [calls, lost] = total > 0 ? [total, failed] : [finding?.n ?? 0, finding?.failures ?? 0];
      const failing = provider(finding?.provider ?? status.mode?.value);
      return {
        tone: "fail",
        text: say.failingNoAction(failing, rate(calls, lost), count(calls), length, whyNothing(status)),
      };
    }
    case "INCONCLUSIVE":
      return {
        tone: "warn",
        text:
          total > 0 ? say.unsure(serves, rate(total, failed), count(total), length) : say.unsureQuiet(serves),
      };
    case "NO_DATA": {
      const probe = status.probes?.active[0];
      if (probe === undefined) return { tone: "idle", text: say.quiet(serves) };
      if (!probe.ok) return { tone: "warn", text: say.quietProbeFailed(provider(probe.provider)) };
      return { tone: "idle", text: say.quietProbed(serves) };
    }
    default:
      return { tone: "blind", text: say.notLooked };
  }
}

function whyNothing(status: Status): string {
  const { finding, guard } = status;
  if (!guard.leads) return guard.lease === null ? say.because.notLeading : say.because.standsBy;
  if (finding?.mode === "shadow") return say.because.shadow;
  const named = finding ? `${finding.trigger}.${finding.check}` : SUCCESS;
  const disarmed = status.disarmed.some((name) => name === named || name === finding?.trigger);
  return disarmed ? say.because.disarmed : say.because.soon;
}

// --- an incident ---------------------------------------------------------------------------------------------

function ofIncident(status: Status, incident: Incident, known: Known): Said {
  const facts = factsOf(incident, known.incident);
  const is = broke(incident, facts, false);
  const was = broke(incident, facts, true);
  const reason = withStop(facts.reason ?? incident.instruction ?? say.noReason);
  if (incident.order?.kind === "abort") {
    const { by, reason: why } = incident.order;
    return { tone: "warn", text: say.aborting(is, person(by), withStop(why)) };
  }
  switch (incident.state) {
    case "OPEN":
      return incident.instruction === null
        ? { tone: "fail", text: say.open(is) }
        : { tone: "fail", text: say.openAsks(is, withStop(incident.instruction)) };
    case "RESTORING":
      return restoring(status, incident, facts, known.checklist);
    case "MITIGATED":
      return mitigated(status, incident, was, known.checklist);
    case "RECOVERED":
      return {
        tone: "pass",
        text: `${helped(status, incident, was)} ${say.recovered(atTime(incident.times.recovered ?? incident.updated_at))}`,
      };
    case "HOLD":
      return held(incident, is, reason);
    case "FROZEN":
      return { tone: "fail", text: say.frozen(is, reason) };
    default:
      return { tone: "idle", text: say.ended(was, operations.states[incident.state]) };
  }
}

function broke(incident: Incident, facts: IncidentFacts, past: boolean): string {
  if (facts.askedBy !== null && facts.trigger === "request") {
    return say.broke.asked(person(facts.askedBy), withoutStop(incident.title));
  }
  if (facts.trigger !== null && OF_SPEECH.has(facts.trigger) && facts.provider !== null) {
    const name = provider(facts.provider);
    return past ? say.broke.speechWas(name) : say.broke.speech(name);
  }
  return say.broke.plain(withoutStop(incident.title));
}

/** Whether this incident moved speech to another provider. */
function moved(status: Status, incident: Incident): boolean {
  return status.mode !== null && status.mode.incident === incident.id;
}

function helped(status: Status, incident: Incident, was: string): string {
  if (moved(status, incident) && status.mode) {
    return say.serves(was, provider(status.mode.value), atTime(status.mode.changed_at));
  }
  return say.mitigated(was, atTime(incident.times.mitigated ?? incident.updated_at));
}

function restoring(
  status: Status,
  incident: Incident,
  facts: IncidentFacts,
  checklist: Schemas["Checklist"] | null,
): Said {
  if (moved(status, incident)) {
    const text = helped(status, incident, broke(incident, facts, true));
    return { tone: "warn", text: `${text} ${verifying(checklist)}`, more: redPoints(checklist) };
  }
  const is = broke(incident, facts, false);
  const action = withoutStop(incident.cures.at(-1)?.title ?? facts.action?.replaceAll("_", " ") ?? "");
  const since = incident.times.acted ?? incident.times.decided;
  if (action === "") return { tone: "fail", text: say.open(is) };
  return {
    tone: "fail",
    text: since === null ? say.restoring(is, action) : say.restoringSince(is, action, atTime(since)),
  };
}

function mitigated(
  status: Status,
  incident: Incident,
  was: string,
  checklist: Schemas["Checklist"] | null,
): Said {
  const verified = incident.times.verified !== null;
  const points = checklist !== null && checklist.of > 0 ? checklist : null;
  const state = !verified ? verifying(checklist) : points ? say.points(points.done, points.of) : "";
  const waits = verified ? status.recovery?.waiting_for[0] : undefined;
  const proof = waits ? say.proving(withoutStop(waits)) : "";
  return {
    tone: "info",
    text: [helped(status, incident, was), state, proof].filter(Boolean).join(" "),
    more: redPoints(checklist),
  };
}

function verifying(checklist: Schemas["Checklist"] | null): string {
  return checklist !== null && checklist.of > 0
    ? say.verifying(checklist.done, checklist.of)
    : say.verifyingSoon;
}

function redPoints(checklist: Schemas["Checklist"] | null): string[] {
  const red = checklist?.rows.filter((row) => row.state === "red").length ?? 0;
  return red > 0 ? [say.red(red)] : [];
}

function held(incident: Incident, is: string, reason: string): Said {
  if (incident.order?.kind === "hold") {
    const { by, reason: why } = incident.order;
    return { tone: "warn", text: say.held(is, person(by), withStop(why)) };
  }
  const plan = incident.plans.find((one) => one.open);
  if (plan) {
    const missing = Math.max(1, plan.approvals - plan.approved_by.length);
    const text = say.awaits(is, withoutStop(plan.title), say.persons(missing), atTime(plan.expires_at));
    return { tone: "fail", text };
  }
  return { tone: "fail", text: say.hold(is, reason) };
}

// --- besides -------------------------------------------------------------------------------------------------

interface Besides {
  text: string;
  /** Worth more than green. */
  serious: boolean;
}

/** Since when, by whom and why. */
function closed({ since, actor, reason }: Schemas["Closure"]): [string, string, string] {
  return [atTime(since), person(actor, true), withStop(reason)];
}

function besidesOf(status: Status): Besides[] {
  const found: Besides[] = [];
  const add = (text: string, serious = true) => found.push({ text, serious });
  const { guard } = status;
  if (!guard.leads && guard.lease !== null) add(say.standsBy(guard.lease.holder), false);
  if (!guard.leads && guard.lease === null) add(say.nobodyLeads);
  const freeze = status.writes_frozen;
  // Without an incident the sentence in large type is about it.
  if (freeze && status.incident) add(say.writesFrozen(...closed(freeze)));
  for (const one of status.reads_closed) add(say.readsClosed(one.name.replaceAll("_", " "), ...closed(one)));
  for (const one of status.valves_closed) add(say.valveClosed(one.name.replaceAll("_", " "), ...closed(one)));
  if (status.drift.drifting) add(say.drift(withoutStop(status.drift.detail ?? status.drift.variable)));
  const lagging = status.processes.filter((one) => one.lagging).length;
  const unmoded = status.processes.filter(
    (one) => one.mode_state !== null && one.mode_state !== "FRESH",
  ).length;
  if (lagging > 0) add(say.lagging(lagging));
  if (unmoded > 0) add(say.unmoded(unmoded));
  if (status.processes.length === 0 && status.observed_at !== null) add(say.noProcesses);
  const blind = otherFamilies(status, "BLIND").map((one) => family(one.trigger).toLowerCase());
  if (blind.length > 0) add(say.blindFamilies(blind.join(", ")));
  if (status.incident) {
    const failing = otherFamilies(status, "FAIL").map((one) => family(one.trigger).toLowerCase());
    const settled = status.incident.state === "MITIGATED" || status.incident.state === "RECOVERED";
    if (failing.length > 0 && settled) add(say.unresolved(failing.join(", ")));
  }
  const alarms = Object.keys(status.alarms).filter((name) => name !== "drift").length;
  if (alarms > 0) add(say.alarms(alarms));
  return found;
}
