import type { Schemas } from "../../api/client";
import type { IncidentDetail } from "./permitted";

export type RecoveryNow = Schemas["Recovery"];
export type Window = Schemas["Window"];
export type WindowLook = "clean" | "failed" | "empty";

/**
 * What the monitoring says of an incident: of the open one, as the guard sees it now; of another, as it was when
 * it had recovered. Null: nothing is said.
 */
export function recoveryOf(incident: IncidentDetail, status: Schemas["Status"] | null): RecoveryNow | null {
  const recovered = incident.journal.findLast(
    (entry) => entry.kind === "state" && entry.body.to === "RECOVERED",
  );
  const then = recovered?.body.recovery;
  if (isRecovery(then)) return then;
  return status?.incident?.id === incident.id ? status.recovery : null;
}

function isRecovery(value: unknown): value is RecoveryNow {
  return typeof value === "object" && value !== null && "windows" in value && Array.isArray(value.windows);
}

export function windowLook(window: Window): WindowLook {
  if (window.total === 0) return "empty";
  return window.failed === 0 ? "clean" : "failed";
}

export function countWindows(windows: readonly Window[]): Record<WindowLook, number> {
  const counted = { clean: 0, failed: 0, empty: 0 };
  for (const window of windows) counted[windowLook(window)] += 1;
  return counted;
}
