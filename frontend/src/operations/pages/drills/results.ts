import type { Schemas } from "../../api/client";

export type Drill = Schemas["DrillRow"];

/** The times of a drill, in the order in which they pass; the first of them is counted from the fault. */
export const TIMES = ["detect_s", "decide_s", "mitigate_s", "verify_s", "close_s"] as const;
export type TimeName = (typeof TIMES)[number];

export const COLUMNS = ["at", "scenario", ...TIMES, "passed"] as const;
export type Column = (typeof COLUMNS)[number];
export interface Order {
  column: Column;
  descending: boolean;
}

export interface Record {
  runs: number;
  passed: number;
  newest: Drill | null;
  /** Seconds until users were served again, over the runs that passed; null without one. */
  best: number | null;
  worst: number | null;
}

/** What practice has shown of one scenario. `history` is newest first. */
export function recordOf(history: readonly Drill[], scenario: string): Record {
  const runs = history.filter((row) => row.scenario === scenario);
  const passed = runs.filter((row) => row.passed);
  const times = passed.flatMap((row) => row.mitigate_s ?? []);
  return {
    runs: runs.length,
    passed: passed.length,
    newest: runs[0] ?? null,
    best: times.length === 0 ? null : Math.min(...times),
    worst: times.length === 0 ? null : Math.max(...times),
  };
}

/** The rows in that order; what was not reached is last, whichever way it goes. */
export function inOrder(rows: readonly Drill[], { column, descending }: Order): Drill[] {
  const sign = descending ? -1 : 1;
  return [...rows].sort((one, other) => {
    const [a, b] = [sortedBy(one, column), sortedBy(other, column)];
    if (a === null || b === null) return a === b ? 0 : a === null ? 1 : -1;
    return sign * (a < b ? -1 : a > b ? 1 : 0);
  });
}

function sortedBy(row: Drill, column: Column): number | string | null {
  if (column === "at") return Date.parse(row.at);
  if (column === "passed") return row.passed ? 1 : 0;
  return row[column];
}

/** The order that a press on a column's head asks for: times and dates begin where one looks first. */
export function pressed(order: Order, column: Column): Order {
  if (order.column === column) return { column, descending: !order.descending };
  return { column, descending: column !== "scenario" && column !== "passed" };
}

/** An order from the address of the page, and back. */
export function orderFrom(text: string): Order {
  const [name, way] = text.split(".");
  const column = COLUMNS.find((one) => one === name);
  return column ? { column, descending: way !== "up" } : { column: "at", descending: true };
}

export function orderText({ column, descending }: Order): string {
  return `${column}.${descending ? "down" : "up"}`;
}

/** The name under which a run's report can be read: the last part of its path. */
export function reportName(row: Drill): string | null {
  return row.report?.split("/").at(-1) || null;
}
