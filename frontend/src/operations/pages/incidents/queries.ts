import { keepPreviousData, useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { ApiError } from "@/shared/problems";
import { useNow } from "@/shared/time";
import { answered, guard } from "../../api/client";
import { keys, useStatus } from "../../api/queries";
import type { Incident } from "./permitted";

export type State = Incident["state"];

const PAGE = 25;
/** The suite that fills the checklist tells nobody while it runs: it is asked. */
const WHILE_IT_FILLS_MS = 1000;

/* Every key begins with one that live.tsx makes out of date with the journal's events. */

export function useIncidents(state: State | null) {
  return useInfiniteQuery({
    queryKey: [...keys.incidents, state],
    initialPageParam: 0,
    queryFn: ({ pageParam }) =>
      answered(
        guard.GET("/incidents", {
          params: { query: { limit: PAGE, offset: pageParam, ...(state === null ? {} : { state }) } },
        }),
      ),
    getNextPageParam: (page) => page.next_offset,
    placeholderData: keepPreviousData,
  });
}

export function useTimeline(id: string) {
  return useQuery({
    queryKey: [...keys.incident(id), "timeline"],
    queryFn: () => answered(guard.GET("/incidents/{id}/timeline", { params: { path: { id } } })),
  });
}

export function useFillingChecklist(id: string, fills: boolean) {
  return useQuery({
    queryKey: [...keys.incident(id), "checklist"],
    queryFn: () => answered(guard.GET("/incidents/{id}/checklist", { params: { path: { id } } })),
    refetchInterval: fills ? WHILE_IT_FILLS_MS : false,
  });
}

export type ReportFormat = "md" | "json";

/** The report as the guard writes it, now. */
export async function reportText(id: string, format: ReportFormat): Promise<string> {
  const query = format === "json" ? { format } : {};
  const text = await answered<unknown>(
    guard.GET("/incidents/{id}/report", { params: { path: { id }, query }, parseAs: "text" }),
  );
  return String(text);
}

export function useReport(id: string) {
  return useQuery({
    queryKey: [...keys.incident(id), "report"],
    queryFn: () => reportText(id, "md"),
    placeholderData: keepPreviousData,
  });
}

/** The time at the guard: what runs and what expires is counted by its clock, not by this device's. */
export function useGuardNow(): Date {
  const now = useNow();
  const { data, dataUpdatedAt } = useStatus();
  if (!data) return now;
  return new Date(now.getTime() + (Date.parse(data.now) - dataUpdatedAt));
}

/** Says whether an incident does not exist, apart from every other failure. */
export function isMissing(error: unknown): boolean {
  return error instanceof ApiError && error.status === 404;
}
