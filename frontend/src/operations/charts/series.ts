import { money } from "@/shared/format";
import { charts as words } from "@/strings/charts";
import type { Schemas } from "../api/client";

export type Charts = Schemas["Charts"];
type Point = Schemas["Point"];

/** A colour of shared/theme.css, by its name. */
export type Token = `--${string}`;

/** Which moments are drawn: the middle of each bucket, in Unix seconds. All charts share it. */
export interface Grid {
  from: number;
  until: number;
  bucketS: number;
  xs: readonly number[];
}

export interface Series {
  label: string;
  values: readonly (number | null)[];
  colour: Token;
  /** Lengths of dash and gap; drawn through without it. */
  dash?: readonly number[];
}

export interface Chart {
  key: string;
  title: string;
  about: string;
  kind: "lines" | "stack" | "steps";
  series: readonly Series[];
  format: (value: number) => string;
  /** Lowest and highest of the axis. */
  range: readonly [number, number];
  /** No label above it, where the axis has room that no value can have. */
  highest?: number;
  threshold?: { value: number; label: string };
}

const COLOURS: Readonly<Record<string, Token>> = { qwen: "--chart-1", modal: "--chart-2" };
/** Lanes differ by more than their colour. */
const DASHES: Readonly<Record<string, readonly number[]>> = { modal: [7, 4] };
const OTHER_COLOUR: Token = "--chart-5";

export const CLASSES = ["transport", "protocol", "provider", "other"] as const;
const CLASS_COLOURS: Readonly<Record<(typeof CLASSES)[number], Token>> = {
  transport: "--chart-3",
  protocol: "--chart-4",
  provider: "--chart-2",
  other: "--chart-5",
};

export function gridOf(charts: Charts, minutes: number): Grid {
  const bucketS = charts.bucket_s;
  const edge = (at: number) => Math.floor(at / bucketS) * bucketS;
  const now = Date.parse(charts.now) / 1000;
  const from = edge(now - minutes * 60);
  const until = edge(now) + bucketS;
  const xs = Array.from(
    { length: Math.round((until - from) / bucketS) },
    (_, i) => from + (i + 0.5) * bucketS,
  );
  return { from, until, bucketS, xs };
}

/** Index of the bucket of a moment; null outside. */
export function indexAt(grid: Grid, at: number): number | null {
  const index = Math.floor((at - grid.from) / grid.bucketS);
  return index >= 0 && index < grid.xs.length ? index : null;
}

/** One lane's values along the grid. What no record tells is null, never 0. */
function along(
  grid: Grid,
  points: readonly Point[],
  read: (point: Point) => number | null,
): (number | null)[] {
  const values: (number | null)[] = grid.xs.map(() => null);
  for (const point of points) {
    const index = indexAt(grid, Date.parse(point.at) / 1000);
    if (index !== null) values[index] = read(point);
  }
  return values;
}

/** The sum over all lanes; null where no lane has a record. */
function summed(grid: Grid, charts: Charts, read: (point: Point) => number): (number | null)[] {
  const sums: (number | null)[] = grid.xs.map(() => null);
  for (const lane of charts.lanes) {
    for (const point of lane.points) {
      const index = indexAt(grid, Date.parse(point.at) / 1000);
      if (index !== null) sums[index] = (sums[index] ?? 0) + read(point);
    }
  }
  return sums;
}

export function colourOf(lane: string): Token {
  return COLOURS[lane] ?? OTHER_COLOUR;
}

const has = (values: readonly (number | null)[]) => values.some((value) => value !== null);

const extremes = (series: readonly Series[], start: readonly [number, number]): [number, number] => {
  let [low, high] = start;
  for (const { values } of series) {
    for (const value of values) {
      if (value === null) continue;
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  return [low, high];
};

export const percentText = (value: number) => `${Number(value.toFixed(2))} %`;
export const milliseconds = (value: number) =>
  value < 1000 ? `${Math.round(value)} ms` : `${Number((value / 1000).toFixed(value < 10_000 ? 2 : 1))} s`;
const whole = (value: number) => `${Math.round(value)}`;

/** The five charts, in their order. */
export function chartsOf(charts: Charts, grid: Grid, lane: (provider: string) => string): Chart[] {
  return [
    success(charts, grid, lane),
    failures(charts, grid),
    quantiles(charts, grid, lane, "latency", words.latency),
    quantiles(charts, grid, lane, "first_audio", words.firstAudio),
    cost(charts, grid),
  ];
}

function success(charts: Charts, grid: Grid, lane: (provider: string) => string): Chart {
  const objective = charts.slo.success_rate * 100;
  const series = charts.lanes.map(({ provider, points }) => ({
    label: lane(provider),
    values: along(grid, points, (point) => (point.success_rate === null ? null : point.success_rate * 100)),
    colour: colourOf(provider),
    ...dashed(provider),
  }));
  const [low] = extremes(series, [objective, 100]);
  return {
    key: "success",
    title: words.success.title,
    about: words.success.about(percentText(objective)),
    kind: "lines",
    series,
    format: percentText,
    // A little above 100 %: there the line of a good day would be cut in half.
    range: [Math.max(0, 100 - (100 - low) * 1.2), 100 + (100 - low) * 0.06],
    highest: 100,
    threshold: { value: objective, label: words.success.objective(percentText(objective)) },
  };
}

function failures(charts: Charts, grid: Grid): Chart {
  const series = CLASSES.map((name) => ({
    label: words.failures.classes[name],
    values: summed(grid, charts, (point) => point[name]),
    colour: CLASS_COLOURS[name],
  }));
  const [, high] = extremes([{ label: "", values: sums(series), colour: "--ink" }], [0, 4]);
  return {
    key: "failures",
    title: words.failures.title,
    about: words.failures.about(`${grid.bucketS} s`),
    kind: "stack",
    series,
    format: whole,
    range: [0, high * 1.1],
  };
}

function quantiles(
  charts: Charts,
  grid: Grid,
  lane: (provider: string) => string,
  what: "latency" | "first_audio",
  { title, about }: { title: string; about: string },
): Chart {
  const series = charts.lanes
    .flatMap(({ provider, points }): Series[] => [
      {
        label: words.p50(lane(provider)),
        values: along(grid, points, (point) => point[`${what}_p50_ms`]),
        colour: colourOf(provider),
        ...dashed(provider),
      },
      {
        label: words.p95(lane(provider)),
        values: along(grid, points, (point) => point[`${what}_p95_ms`]),
        colour: colourOf(provider),
        dash: provider in DASHES ? [7, 3, 2, 3] : [2, 3],
      },
    ])
    .filter((one) => has(one.values));
  const [, high] = extremes(series, [0, 200]);
  return { key: what, title, about, kind: "lines", series, format: milliseconds, range: [0, high * 1.1] };
}

function cost(charts: Charts, grid: Grid): Chart {
  const anHour = 3600 / grid.bucketS;
  const series: Series[] = [
    {
      label: words.cost.label,
      values: summed(grid, charts, (point) => (point.cost_microusd * anHour) / 1e6),
      colour: "--chart-5",
    },
  ];
  const [, high] = extremes(series, [0, 0.01]);
  return {
    key: "cost",
    title: words.cost.title,
    about: words.cost.about,
    kind: "steps",
    series,
    format: (value) => money(value * 1e6),
    range: [0, high * 1.1],
  };
}

function dashed(provider: string): { dash?: readonly number[] } {
  const dash = DASHES[provider];
  return dash ? { dash } : {};
}

function sums(series: readonly Series[]): (number | null)[] {
  const length = series[0]?.values.length ?? 0;
  return Array.from({ length }, (_, i) => {
    const given = series.map((one) => one.values[i] ?? null).filter((value) => value !== null);
    return given.length === 0 ? null : given.reduce((sum, value) => sum + value, 0);
  });
}

/** What is drawn of a stack: each series stands on those after it, the highest first. */
export function stacked(series: readonly Series[]): (number | null)[][] {
  return series.map((_, i) => sums(series.slice(i)));
}

/** The newest bucket of which anything is known. A lane that no longer serves has no value there. */
export function newestIndex(chart: Chart): number | null {
  const last = Math.max(-1, ...chart.series.map(({ values }) => values.findLastIndex((one) => one !== null)));
  return last < 0 ? null : last;
}

export function valuesAt(chart: Chart, index: number | null): { series: Series; value: number | null }[] {
  return chart.series.map((series) => ({
    series,
    value: index === null ? null : (series.values[index] ?? null),
  }));
}

/** The same for those who listen. */
export function spoken(chart: Chart, index: number | null): string {
  return valuesAt(chart, index)
    .map(({ series, value }) =>
      words.value(series.label, value === null ? words.nothing : chart.format(value)),
    )
    .join(", ");
}
