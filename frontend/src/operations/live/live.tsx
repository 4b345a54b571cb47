import { useQueryClient } from "@tanstack/react-query";
import {
  createContext,
  type ReactNode,
  useCallback,
  useContext,
  useEffect,
  useMemo,
  useRef,
  useState,
} from "react";
import { ApiError } from "@/shared/problems";
import { useNow } from "@/shared/time";
import { keys, useStatus } from "../api/queries";
import { useOperator } from "../session/operator";
import { type Freshness, type Heard, judgeFreshness } from "./freshness";
import { listen } from "./stream";

export type { Freshness } from "./freshness";

export interface JournalEvent {
  seq: number;
  at: string;
  incident: string;
  kind: string;
  step: string | null;
  actor: string;
  body: Record<string, unknown>;
}

const NOTHING: Heard = { connection: "connecting", heardAt: null, lookedAt: null };
const Context = createContext<Heard>(NOTHING);

/** The connection to the guard, and when it last said something. */
export function useLive(): Heard {
  return useContext(Context);
}

/** Listens to the guard, and says of everything an event touches that it is out of date. */
export function LiveProvider({ children }: { children: ReactNode }) {
  const [heard, setHeard] = useState(NOTHING);
  const queries = useQueryClient();
  const { refuse } = useOperator();
  const refusing = useRef(refuse);
  refusing.current = refuse;

  const hear = useCallback((cycleAgeS?: number | null) => {
    const now = new Date();
    setHeard((before) => ({
      ...before,
      heardAt: now,
      lookedAt: typeof cycleAgeS === "number" ? new Date(now.getTime() - cycleAgeS * 1000) : before.lookedAt,
    }));
  }, []);

  useEffect(() => {
    const end = new AbortController();
    const stale = (...key: readonly unknown[]) => void queries.invalidateQueries({ queryKey: key });
    const connected = (connection: Heard["connection"]) => setHeard((before) => ({ ...before, connection }));
    void listen(
      {
        onOpen: () => {
          connected("live");
          hear();
          // Whatever happened while nobody listened.
          void queries.invalidateQueries();
        },
        onEvent: (name, data) => {
          hear(name === "beat" ? (data as { cycle_age_s?: number | null }).cycle_age_s : undefined);
          if (name === "journal") {
            stale(...keys.incidents);
            stale(...keys.incident((data as JournalEvent).incident));
            stale(...keys.status);
            stale(...keys.audit);
            const { kind } = data as JournalEvent;
            if (kind === "known_good") stale(...keys.knownGood);
            else if (kind.startsWith("job")) stale(...keys.jobs);
          } else if (name === "status") {
            stale(...keys.status);
            stale(...keys.charts);
            stale(...keys.cutover);
            stale(...keys.backups);
          }
        },
        onLost: () => connected("lost"),
        onRefused: () => refusing.current(),
      },
      end.signal,
    );
    return () => end.abort();
  }, [queries, hear]);

  // Answers count too: where a proxy swallows the stream, what is polled is still the present.
  const status = useStatus();
  const { data, dataUpdatedAt, error } = status;
  // biome-ignore lint/correctness/useExhaustiveDependencies: each answer counts, also one with the same data.
  useEffect(() => {
    if (data) hear(data.guard.cycle_age_s);
  }, [data, dataUpdatedAt, hear]);
  useEffect(() => {
    if (error instanceof ApiError && error.unauthenticated) refusing.current();
  }, [error]);

  return <Context value={heard}>{children}</Context>;
}

/** Whether what is shown is the present. Everything live is drawn with this, never without. */
export function useFreshness(): Freshness {
  const heard = useLive();
  const now = useNow();
  return useMemo(() => judgeFreshness(heard, now), [heard, now]);
}
