import type { Schemas } from "../api/client";
import type { Grid } from "./series";

export type Mark = Schemas["Mark"];

/** Marks that would lie on each other, as one. */
export interface MarkGroup {
  /** Unix seconds of the first. */
  at: number;
  /** From 0 to 1 along the grid. */
  left: number;
  /** The gravest: an incident before a state, a mode and a deployment. */
  kind: Mark["kind"];
  marks: Mark[];
}

const GRAVEST: readonly Mark["kind"][] = ["incident", "mode", "state", "deploy"];

export function groupsOf(marks: readonly Mark[], grid: Grid, width: number, apart = 26): MarkGroup[] {
  const length = grid.until - grid.from;
  const nearS = width > 0 ? (apart / width) * length : 0;
  const groups: MarkGroup[] = [];
  for (const mark of marks.toSorted((a, b) => Date.parse(a.at) - Date.parse(b.at))) {
    const at = Date.parse(mark.at) / 1000;
    if (at < grid.from || at > grid.until) continue;
    const last = groups.at(-1);
    if (last && at - last.at < nearS) {
      last.marks.push(mark);
      if (GRAVEST.indexOf(mark.kind) < GRAVEST.indexOf(last.kind)) last.kind = mark.kind;
    } else {
      groups.push({ at, left: (at - grid.from) / length, kind: mark.kind, marks: [mark] });
    }
  }
  return groups;
}
