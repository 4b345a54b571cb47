import { live } from "@/strings/live";
import { operations } from "@/strings/operations";
import type { Schemas } from "../api/client";
import type { Freshness } from "./freshness";

/** What a tab's title says that nobody looks at: the worst first, and nothing old as if it were new. */
export function tabTitle(status: Schemas["Status"] | undefined, { fresh, reason }: Freshness): string {
  return [sign(status, fresh, reason), operations.title].filter(Boolean).join(" - ");
}

function sign(
  status: Schemas["Status"] | undefined,
  fresh: boolean,
  reason: Freshness["reason"],
): string | null {
  if (!fresh) return reason === "waiting" ? null : live.titles.stale;
  if (status === undefined) return null;
  const { incident } = status;
  if (incident) {
    const waits = incident.plans.some((plan) => plan.open);
    return waits ? live.titles.approval : live.titles.incident(incident.state);
  }
  const verdicts = status.families.map((family) => family.verdict);
  if (verdicts.includes("FAIL")) return live.titles.fail;
  if (verdicts.includes("BLIND")) return live.titles.blind;
  if (status.drift.drifting) return live.titles.drift;
  if (Object.keys(status.alarms).length > 0) return live.titles.alarm;
  return null;
}
