import { duration } from "@/shared/format";
import type { Schemas } from "../../api/client";

export type Times = Schemas["Times"];
export type PointName = keyof Times;

/** In the order in which they come. */
export const POINTS: readonly PointName[] = [
  "onset",
  "detected",
  "decided",
  "acted",
  "mitigated",
  "verified",
  "recovered",
  "closed",
];

export interface Point {
  name: PointName;
  at: string | null;
  /** Milliseconds since the first point that is known; null where it has not come. */
  sinceMs: number | null;
  /**
   * `reached`; `next`: what is waited for now; `ahead`: after that; `skipped`: a later one was reached, or it is
   * over, without it. A time that is not known is never guessed.
   */
  state: "reached" | "next" | "ahead" | "skipped";
}

/** The eight points as they stand; each that was reached has its distance from the first that is known. */
export function pointsOf(times: Times, over: boolean): Point[] {
  const known = POINTS.map((name) => times[name]).filter((at) => at !== null);
  const start = Math.min(...known.map((at) => Date.parse(at)));
  const lastReached = POINTS.findLastIndex((name) => times[name] !== null);
  let waited = false;
  return POINTS.map((name, at): Point => {
    const time = times[name];
    if (time !== null) return { name, at: time, sinceMs: Date.parse(time) - start, state: "reached" };
    if (at < lastReached || over) return { name, at: null, sinceMs: null, state: "skipped" };
    const state = waited ? "ahead" : "next";
    waited = true;
    return { name, at: null, sinceMs: null, state };
  });
}

export interface Interval {
  name: "detect" | "mitigate" | "verify" | "recover" | "close";
  from: PointName;
  to: PointName;
  /** Null: one of its ends is not known. */
  ms: number | null;
}

const INTERVALS: readonly [Interval["name"], PointName, PointName][] = [
  ["detect", "onset", "detected"],
  ["mitigate", "onset", "mitigated"],
  ["verify", "onset", "verified"],
  ["recover", "onset", "recovered"],
  ["close", "onset", "closed"],
];

/** What the report calls MTTD, MTTM and MTTR, and the two beside them; from the onset, as the report counts. */
export function intervalsOf(times: Times): Interval[] {
  return INTERVALS.map(([name, from, to]) => ({ name, from, to, ms: between(times[from], times[to]) }));
}

/** From the onset, or from when it was detected where nobody knows the onset (a person asked for it). */
export function sinceBegin(times: Times, to: PointName): number | null {
  return between(times.onset ?? times.detected, times[to]);
}

export function between(from: string | null, to: string | null): number | null {
  if (from === null || to === null) return null;
  return Math.max(0, Date.parse(to) - Date.parse(from));
}

/** A time that passes, or a limit, in whole seconds: 28 s, 3 min 05 s. */
export function wholeSeconds(ms: number): string {
  const seconds = Math.floor(Math.max(0, ms) / 1000);
  return seconds < 60 ? `${seconds} s` : duration(seconds * 1000);
}
