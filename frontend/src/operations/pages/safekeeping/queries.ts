import { useQuery } from "@tanstack/react-query";
import { answered, guard } from "../../api/client";
import { keys } from "../../api/queries";

/** Known-good records, newest first: a restoration returns to the first of them. */
export function useKnownGood() {
  return useQuery({
    queryKey: keys.knownGood,
    queryFn: () => answered(guard.GET("/known-good", { params: { query: { limit: 20 } } })),
    refetchInterval: 30_000,
  });
}

export function useBackups() {
  return useQuery({
    queryKey: keys.backups,
    queryFn: () => answered(guard.GET("/backups")),
    refetchInterval: 30_000,
  });
}
