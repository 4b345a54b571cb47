import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { answered, guard } from "../../api/client";
import { keys } from "../../api/queries";

export const PAGE = 50;

/** One page of who ordered what, newest first; of one person, where one is named. Events refresh it. */
export function useAudit(person: string, page: number) {
  return useQuery({
    queryKey: [...keys.audit, person, page],
    queryFn: () =>
      answered(
        guard.GET("/audit", {
          params: {
            query: { limit: PAGE, offset: (page - 1) * PAGE, ...(person === "" ? {} : { person }) },
          },
        }),
      ),
    placeholderData: keepPreviousData,
    // Cutover, mode and freeze are written by others, too: not all of it is an event of the guard's.
    refetchInterval: 10_000,
  });
}
