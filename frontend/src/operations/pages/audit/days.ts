import { localTime } from "@/shared/format";
import type { Schemas } from "../../api/client";

export type Entry = Schemas["AuditEntry"];

export interface Day {
  /** As the reader's calendar has it. */
  name: string;
  entries: { id: string; entry: Entry }[];
}

/** The entries by the reader's days, in their order; each with an identity that stays when newer ones come. */
export function byDay(entries: readonly Entry[]): Day[] {
  const days: Day[] = [];
  const seen = new Map<string, number>();
  for (const entry of entries) {
    const name = localTime(new Date(entry.at), "date");
    const what = `${entry.at} ${entry.source} ${entry.what}`;
    const times = (seen.get(what) ?? 0) + 1;
    seen.set(what, times);
    const last = days.at(-1);
    const row = { id: times === 1 ? what : `${what} ${times}`, entry };
    if (last?.name === name) last.entries.push(row);
    else days.push({ name, entries: [row] });
  }
  return days;
}

/** Whom one can ask for: everybody who stands in these entries, persons first. */
export function actorsIn(entries: readonly Entry[]): string[] {
  const actors = [...new Set(entries.map((entry) => entry.actor))];
  const rank = (actor: string) => (actor.startsWith("person:") ? 0 : 1);
  return actors.sort((one, other) => rank(one) - rank(other) || one.localeCompare(other));
}

/** The detail without what the row says already. */
export function detailOf(entry: Entry): { [name: string]: unknown } {
  const { reason, ...rest } = entry.detail;
  return reason === undefined || reason === entry.reason ? rest : entry.detail;
}
