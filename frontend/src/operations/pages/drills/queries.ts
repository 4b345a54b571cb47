import { useQuery } from "@tanstack/react-query";
import { answered, guard } from "../../api/client";
import { keys } from "../../api/queries";

/** What can be practised, and what practice has shown. */
export function useDrills() {
  return useQuery({
    queryKey: keys.drills,
    queryFn: () => answered(guard.GET("/drills")),
    refetchInterval: 15_000,
  });
}

/** The incident's report of one run, as Markdown; null asks nothing. It does not change any more. */
export function useDrillReport(name: string | null) {
  return useQuery({
    queryKey: [...keys.drills, "report", name],
    queryFn: () => answered(guard.GET("/drills/reports/{name}", { params: { path: { name: name ?? "" } } })),
    enabled: name !== null,
    staleTime: Number.POSITIVE_INFINITY,
  });
}
