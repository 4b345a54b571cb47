import type { Schemas } from "../../api/client";

type Row = Schemas["ChecklistRow"];

/** What is said of every point alike, to be said once; null where points differ. */
export function commonDetail(rows: readonly Row[]): string | null {
  const [first] = rows;
  if (!first || rows.length < 2) return null;
  return rows.every((row) => row.detail === first.detail && row.state === first.state) ? first.detail : null;
}
