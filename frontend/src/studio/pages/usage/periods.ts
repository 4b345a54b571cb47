import { usage as words } from "@/strings/usage";

export const PERIODS = ["this_month", "last_month", "last_7_days", "custom"] as const;
export type PeriodName = (typeof PERIODS)[number];

/** What the service is asked for; a limit that is left out is the service's own: begin of this month, and now. */
export interface Span {
  since?: string;
  until?: string;
}

const DAY_MS = 86_400_000;

export function isPeriod(name: string): name is PeriodName {
  return (PERIODS as readonly string[]).includes(name);
}

function midnight(day: string): Date | null {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(day)) return null;
  const date = new Date(`${day}T00:00:00Z`);
  return Number.isNaN(date.getTime()) ? null : date;
}

/** The day as a date field has it, in UTC. */
export function dayOf(date: Date): string {
  return date.toISOString().slice(0, 10);
}

export interface Days {
  from: string;
  until: string;
}

export type DayProblems = Partial<Record<keyof Days, string>>;

export function dayProblems({ from, until }: Days, now: Date): DayProblems {
  const first = midnight(from);
  const last = midnight(until);
  if (first === null) return { from: words.problems.from };
  if (first > now) return { from: words.problems.future };
  if (last === null) return { until: words.problems.until };
  if (last < first) return { until: words.problems.order };
  return {};
}

/** The span of a period; null while the days of a custom one are not right. */
export function spanOf(period: PeriodName, days: Days, now: Date): Span | null {
  if (period === "this_month") return {};
  if (period === "last_month") {
    return {
      since: new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - 1, 1)).toISOString(),
      until: new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), 1)).toISOString(),
    };
  }
  if (period === "last_7_days") {
    const today = midnight(dayOf(now)) ?? now;
    return { since: new Date(today.getTime() - 6 * DAY_MS).toISOString() };
  }
  if (Object.keys(dayProblems(days, now)).length > 0) return null;
  const last = midnight(days.until);
  return {
    since: `${days.from}T00:00:00.000Z`,
    // The day that was chosen is meant to its end.
    until: new Date((last?.getTime() ?? 0) + DAY_MS).toISOString(),
  };
}
