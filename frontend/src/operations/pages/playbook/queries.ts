import { useQuery } from "@tanstack/react-query";
import { answered, guard } from "../../api/client";
import { keys } from "../../api/queries";

const RARELY_MS = 60_000;

/** The policy in force, as data. It changes with a restart of the guard alone. */
export function usePlaybook() {
  return useQuery({
    queryKey: keys.playbook,
    queryFn: () => answered(guard.GET("/playbook")),
    staleTime: RARELY_MS,
  });
}

/** The same as a page: it has each check's limits as a sentence. */
export function usePlaybookPage() {
  return useQuery({
    queryKey: [...keys.playbook, "page"],
    queryFn: () => answered(guard.GET("/playbook/page")),
    staleTime: RARELY_MS,
  });
}

/** The rules over synthetic traffic; asked each second while a simulation runs. */
export function useSimulation() {
  return useQuery({
    queryKey: [...keys.playbook, "simulation"],
    queryFn: () => answered(guard.GET("/playbook/simulation")),
    refetchInterval: ({ state }) => (state.data?.state === "running" ? 1000 : false),
  });
}
