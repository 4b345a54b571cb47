import { incidents as strings } from "@/strings/incidents";
import type { Schemas } from "../../api/client";
import type { Incident } from "./permitted";
import type { Entry } from "./story";

type State = Incident["state"];

/** Those that want attention first. */
export const STATES: readonly State[] = [
  "OPEN",
  "RESTORING",
  "HOLD",
  "FROZEN",
  "MITIGATED",
  "RECOVERED",
  "CLOSED",
  "ABORTED",
];

/** The state of that name; null for anything else that stands in an address. */
export function stateNamed(text: string | null): State | null {
  return STATES.find((state) => state === text) ?? null;
}

/** One list of what several pages hold; an incident that moved from one page to the next is there once. */
export function joinPages(pages: readonly Schemas["IncidentPage"][]): Incident[] {
  const rows = new Map<string, Incident>();
  for (const page of pages) {
    for (const incident of page.incidents) if (!rows.has(incident.id)) rows.set(incident.id, incident);
  }
  return [...rows.values()];
}

/** The guard says it of each incident; an older one does not. */
type WithCures = Incident & { cures?: readonly { action: string; title: string }[] };

/** What was begun, by the playbook's names: as the journal or the guard says, else as the plans do. */
export function curesOf(incident: WithCures & { journal?: readonly Entry[] }): string[] {
  const told = incident.journal?.filter((entry) => entry.kind === "begun").map((entry) => entry.body.action);
  const begun =
    told ?? (incident.cures ?? incident.plans.filter((plan) => plan.begun)).map((one) => one.action);
  const names = begun.filter((action) => typeof action === "string");
  return [...new Set(names)].map(actionNamed);
}

/** An action by the playbook's name. */
export function actionNamed(action: string): string {
  return strings.actions[action] ?? action.replaceAll("_", " ");
}
