import { charts as words } from "@/strings/charts";
import type { Schemas } from "../api/client";
import type { Grid } from "./series";

export type Verdict = Schemas["Finding"]["verdict"];

/** Windows in a row with one verdict, as a part of the grid: both from 0 to 1. */
export interface Run {
  verdict: Verdict;
  /** Unix seconds. */
  since: number;
  until: number;
  left: number;
  width: number;
}

/** Every lane's verdicts along the grid. A window counts where it ends: that is when it was judged. */
export function runsOf(windows: readonly Schemas["JudgedWindow"][], grid: Grid): Map<string, Run[]> {
  const lanes = new Map<string, Run[]>();
  const length = grid.until - grid.from;
  for (const window of windows.toSorted((a, b) => Date.parse(a.until) - Date.parse(b.until))) {
    const until = Math.min(Date.parse(window.until) / 1000, grid.until);
    const runs = lanes.get(window.provider) ?? [];
    const last = runs.at(-1);
    const since = Math.max(grid.from, until - grid.bucketS);
    if (until <= grid.from) continue;
    lanes.set(window.provider, runs);
    // A gap of one bucket is a look that came late; a longer one is drawn.
    const together = last !== undefined && since - last.until <= grid.bucketS;
    if (last && together && last.verdict === window.verdict) {
      last.until = until;
    } else {
      runs.push({
        verdict: window.verdict,
        since: last && together ? last.until : since,
        until,
        left: 0,
        width: 0,
      });
    }
  }
  for (const runs of lanes.values()) {
    for (const run of runs) {
      run.left = (run.since - grid.from) / length;
      run.width = (run.until - run.since) / length;
    }
  }
  return lanes;
}

/** The strip in words: how much of the time had which verdict. */
export function summaryOf(runs: readonly Run[]): string {
  const seconds = new Map<Verdict, number>();
  for (const run of runs) seconds.set(run.verdict, (seconds.get(run.verdict) ?? 0) + run.until - run.since);
  const all = [...seconds.values()].reduce((sum, one) => sum + one, 0);
  const parts = [...seconds]
    .toSorted((a, b) => b[1] - a[1])
    .map(([verdict, of]) => `${verdict.replace("_", " ")} ${share(of / all)}`);
  return words.strip.summary(parts.join(", ") || words.strip.none);
}

/** Never 0 % of what was, and never 100 % of what was not all. */
function share(part: number): string {
  if (part >= 1) return "100 %";
  return `${Math.min(99, Math.max(1, Math.round(part * 100)))} %`;
}
