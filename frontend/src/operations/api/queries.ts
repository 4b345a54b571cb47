import { useQuery } from "@tanstack/react-query";
import { answered, guard } from "./client";

/** The keys of what is kept, in one place; `live/live.tsx` says which of them an event makes out of date. */
export const keys = {
  me: ["me"] as const,
  status: ["status"] as const,
  charts: ["charts"] as const,
  incidents: ["incidents"] as const,
  incident: (id: string) => ["incident", id] as const,
  cutover: ["cutover"] as const,
  playbook: ["playbook"] as const,
  drills: ["drills"] as const,
  knownGood: ["known-good"] as const,
  backups: ["backups"] as const,
  jobs: ["jobs"] as const,
  audit: ["audit"] as const,
};

/** Everything the guard knows now. Events refresh it; the interval is for windows that slide. */
export function useStatus() {
  return useQuery({
    queryKey: keys.status,
    queryFn: () => answered(guard.GET("/status")),
    refetchInterval: 2000,
    // The tab's title says how it stands, also of a tab that nobody looks at.
    refetchIntervalInBackground: true,
  });
}

/** Calls over time, verdicts and what happened, of the last so many minutes. */
export function useCharts(minutes: number) {
  return useQuery({
    queryKey: [...keys.charts, minutes],
    queryFn: () => answered(guard.GET("/charts", { params: { query: { minutes } } })),
    refetchInterval: minutes <= 15 ? 5000 : 15_000,
    placeholderData: (before) => before,
  });
}

/** An incident with its journal; null asks nothing. Events refresh it. */
export function useIncident(id: string | null) {
  return useQuery({
    queryKey: keys.incident(id ?? ""),
    queryFn: () => answered(guard.GET("/incidents/{id}", { params: { path: { id: id ?? "" } } })),
    enabled: id !== null,
  });
}

/** The post-rollback checklist of an incident, as far as it is proven. */
export function useChecklist(id: string | null) {
  return useQuery({
    queryKey: [...keys.incident(id ?? ""), "checklist"],
    queryFn: () => answered(guard.GET("/incidents/{id}/checklist", { params: { path: { id: id ?? "" } } })),
    enabled: id !== null,
    refetchInterval: 2000,
  });
}

const ON: ReadonlySet<string | undefined> = new Set(["running", "paused", "finishing"]);

/** The cutover, its sample and its moves. Nothing tells of its sample, so it is asked more often while one is on. */
export function useCutover() {
  return useQuery({
    queryKey: keys.cutover,
    queryFn: () => answered(guard.GET("/cutover")),
    refetchInterval: ({ state }) => (ON.has(state.data?.cutover?.state) ? 2000 : 5000),
  });
}

export function useMe() {
  return useQuery({ queryKey: keys.me, queryFn: () => answered(guard.GET("/me")), staleTime: 60_000 });
}

/** What takes longer than a request, newest first; asked each second while one of them runs. */
export function useJobs() {
  return useQuery({
    queryKey: keys.jobs,
    queryFn: () => answered(guard.GET("/jobs")),
    refetchInterval: ({ state }) => (state.data?.jobs.some((job) => job.state === "running") ? 1000 : 15_000),
  });
}
