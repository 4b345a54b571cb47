import { duration } from "@/shared/format";
import { playbook as strings } from "@/strings/playbook";
import type { Schemas } from "../../api/client";

export type Row = Schemas["SimulationRow"];

/** The simulation looks no longer than this; what took longer was not seen. */
const LONGEST_S = 4 * 3600;

export interface Line {
  condition: string;
  rule: Row["rule"];
  /** Nothing is wrong in it, or not for long: a trip would be a false one. */
  quiet: boolean;
  cells: { calls: number; text: string; bad: boolean }[];
}

/** Levels of traffic, the least first. */
export function levelsOf(rows: readonly Row[]): number[] {
  return [...new Set(rows.map((row) => row.calls_per_minute))].sort((one, other) => one - other);
}

/** A line for each condition and rule, in the order in which they were simulated. */
export function linesOf(rows: readonly Row[], rule: Row["rule"]): Line[] {
  const levels = levelsOf(rows);
  const conditions = [...new Set(rows.map((row) => row.condition))];
  return conditions.flatMap((condition) => {
    const of = rows.filter((row) => row.condition === condition && row.rule === rule);
    if (of.length === 0) return [];
    const quiet = of.some((row) => row.false_trips_per_day !== null);
    const cells = levels.map((calls) => {
      const row = of.find((one) => one.calls_per_minute === calls);
      if (row === undefined) return { calls, text: "", bad: false };
      return { calls, ...(quiet ? tripsOf(row) : timeOf(row)) };
    });
    return [{ condition, rule, quiet, cells }];
  });
}

function tripsOf(row: Row): { text: string; bad: boolean } {
  const trips = row.false_trips_per_day ?? 0;
  const upper = row.false_trips_per_day_upper;
  if (trips === 0) return { text: upper === null ? "0" : strings.noneBelow(few(upper)), bad: false };
  return { text: few(trips), bad: trips >= 1 };
}

function timeOf(row: Row): { text: string; bad: boolean } {
  const missed = row.missed > 0 ? strings.missed(row.missed, row.runs) : null;
  return {
    text: [`${time(row.detect_p50_s)} / ${time(row.detect_p95_s)}`, missed].filter(Boolean).join(", "),
    bad: row.detect_p50_s === null || row.missed * 10 > row.runs,
  };
}

function time(seconds: number | null): string {
  return seconds === null ? strings.longer(duration(LONGEST_S * 1000)) : duration(Math.round(seconds) * 1000);
}

function few(value: number): string {
  return String(Number(value.toPrecision(2)));
}

/** What the rows come to, in one sentence, for one rule; null where they do not say. */
export function readingOf(rows: readonly Row[], rule: Row["rule"]): string | null {
  const of = (condition: string) => rows.filter((row) => row.rule === rule && row.condition === condition);
  const trips = of("healthy").map((row) => row.false_trips_per_day ?? 0);
  const outage = of("outage").sort((one, other) => one.calls_per_minute - other.calls_per_minute);
  const [slowest, fastest] = [outage[0], outage.at(-1)];
  if (trips.length === 0 || !slowest || !fastest) return null;
  const most = Math.max(...trips);
  return strings.reading(
    most === 0 ? strings.readingNever : strings.readingTrips(few(most)),
    time(slowest.detect_p50_s),
    slowest.calls_per_minute,
    time(fastest.detect_p50_s),
    fastest.calls_per_minute,
    mildOf(of("fail_5")),
  );
}

/** The least traffic at which mild trouble is found every time. */
function mildOf(rows: readonly Row[]): string {
  const sure = rows
    .filter((row) => row.missed === 0 && row.detect_p95_s !== null)
    .sort((one, other) => one.calls_per_minute - other.calls_per_minute)[0];
  return sure
    ? strings.readingMild(sure.calls_per_minute, time(sure.detect_p95_s))
    : strings.readingMildNever;
}
