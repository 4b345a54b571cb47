export const STATUSES = ["completed", "processing", "pending", "failed", "cancelled"] as const;
export type Status = (typeof STATUSES)[number];

/** What of the history is looked at; it stands in the address, so it can be kept and gone back to. */
export interface View {
  search: string;
  status: Status | null;
  page: number;
}

export function viewOf(given: URLSearchParams): View {
  const page = Number(given.get("page") ?? 1);
  return {
    search: given.get("search") ?? "",
    status: STATUSES.find((one) => one === given.get("status")) ?? null,
    page: Number.isInteger(page) && page > 0 ? page : 1,
  };
}

/** The address of a view: only what differs from looking at everything. Another search begins at its first page. */
export function addressOf(view: View, change: Partial<View>): URLSearchParams {
  const narrowed = change.search !== undefined || change.status !== undefined;
  const next = { ...view, ...(narrowed ? { page: 1 } : {}), ...change };
  const given = new URLSearchParams();
  if (next.search !== "") given.set("search", next.search);
  if (next.status !== null) given.set("status", next.status);
  if (next.page > 1) given.set("page", String(next.page));
  return given;
}
