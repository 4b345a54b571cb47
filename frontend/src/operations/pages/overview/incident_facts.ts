import type { Incident, IncidentDetail } from "./words";

/** What the journal's entries say that the incident's short form does not. */
export interface IncidentFacts {
  /** Condition that opened it; `request` where a person asked. Null: not known (yet). */
  trigger: string | null;
  /** The provider that failed. */
  provider: string | null;
  /** Who asked for it, where a person did. */
  askedBy: string | null;
  /** What is being done, or was done last, as the journal calls it: `env_switch`. */
  action: string | null;
  /** Why it is in the state it is in, where the journal says so. */
  reason: string | null;
}

const NOTHING: IncidentFacts = { trigger: null, provider: null, askedBy: null, action: null, reason: null };

const text = (value: unknown): string | null => (typeof value === "string" && value !== "" ? value : null);

const record = (value: unknown): Record<string, unknown> =>
  typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};

/** Conditions that are about what tenants hear. */
export const OF_SPEECH: ReadonlySet<unknown> = new Set(["success_rate", "realtime_failures", "playback"]);

/** The finding that is told of: speech that fails, though it may have joined what was opened for another reason. */
function gravestOf({ journal }: IncidentDetail): Record<string, unknown> {
  const findings = journal
    .filter(({ kind }) => kind === "opened" || kind === "joined")
    .map(({ body }) => record(body.finding));
  return findings.find(({ trigger }) => OF_SPEECH.has(trigger)) ?? findings[0] ?? {};
}

/** Reads the facts out of the journal; of an incident whose journal is not here (yet), nothing. */
export function factsOf(incident: Incident, detail: IncidentDetail | null): IncidentFacts {
  if (detail === null || detail.id !== incident.id) return NOTHING;
  const opened = detail.journal.find((entry) => entry.kind === "opened");
  const finding = gravestOf(detail);
  const newestFirst = detail.journal.toReversed();
  const begun = newestFirst.find((entry) => entry.kind === "begun");
  const entered = newestFirst.find((entry) => entry.kind === "state" && entry.body.to === incident.state);
  const paged = newestFirst.find((entry) => entry.kind === "page");
  return {
    trigger: text(finding.trigger),
    provider: text(finding.provider),
    askedBy: text(opened?.body.requested_by),
    action: text(begun?.body.action) ?? text(opened?.body.action),
    reason: text(entered?.body.reason) ?? text(paged?.body.message),
  };
}
