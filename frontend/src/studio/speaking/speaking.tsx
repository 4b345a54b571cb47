import { useQueryClient } from "@tanstack/react-query";
import { createContext, type ReactNode, useContext, useEffect, useState, useSyncExternalStore } from "react";
import { keys } from "../api/queries";
import type { Player } from "../player/engine";
import type { Run } from "./run";
import { Speeches } from "./speeches";

const Context = createContext<Speeches | null>(null);

/** What speaks, and how far the last one is. */
export function useSpeeches(): { speeches: Speeches; run: Run | null } {
  const speeches = useContext(Context);
  if (speeches === null) throw new Error("useSpeeches outside of Speaking");
  return { speeches, run: useSyncExternalStore(speeches.subscribe, speeches.snapshot) };
}

export function Speaking({ player, children }: { player: Player; children: ReactNode }) {
  const queries = useQueryClient();
  const [speeches] = useState(
    () =>
      new Speeches(player, (what) => {
        void queries.invalidateQueries({ queryKey: keys[what] });
        if (what === "tasks") {
          void queries.invalidateQueries({ queryKey: keys.generations });
          void queries.invalidateQueries({ queryKey: keys.usage });
        } else void queries.invalidateQueries({ queryKey: keys.voices });
      }),
  );
  useEffect(() => speeches.attach(), [speeches]);
  return <Context value={speeches}>{children}</Context>;
}
