import { useQueryClient } from "@tanstack/react-query";
import { useCallback, useRef, useState } from "react";
import { ApiError } from "@/shared/problems";
import { incidents as strings } from "@/strings/incidents";
import { keys } from "../../api/queries";
import { type Incident, isOver } from "./permitted";
import type { Entry } from "./story";

/** An order that was sent. */
export interface Sent {
  label: string;
  /** The journal's entry that it became; null where the answer does not name one, or none came. */
  seq: number | null;
  /** No answer came: whether it arrived is not known. */
  unknown: boolean;
}

/** Whether what was sent is in the journal that is shown. */
export function hasArrived(sent: Sent, incident: Incident, journal: readonly Entry[]): boolean {
  if (sent.seq !== null) return journal.some((entry) => entry.seq === sent.seq);
  return !sent.unknown && isOver(incident.state);
}

/**
 * Sends orders of a person, one at a time: a second press while the first is under way is the first. Nothing is
 * shown as done before the journal says so.
 */
export function useSending(id: string) {
  const [sent, setSent] = useState<Sent | null>(null);
  const underWay = useRef<Promise<unknown> | null>(null);
  const queries = useQueryClient();
  const send = useCallback(
    async <T extends Entry | Incident>(label: string, call: () => Promise<T>): Promise<T> => {
      if (underWay.current) return underWay.current as Promise<T>;
      setSent(null);
      const sending = call();
      underWay.current = sending;
      try {
        const answer = await sending;
        setSent({ label, seq: "seq" in answer ? answer.seq : null, unknown: false });
        return answer;
      } catch (error) {
        if (!(error instanceof ApiError && error.unreachable)) throw error;
        setSent({ label, seq: null, unknown: true });
        throw new ApiError(0, strings.orders.unknown(label));
      } finally {
        underWay.current = null;
        void queries.invalidateQueries({ queryKey: keys.incident(id) });
        void queries.invalidateQueries({ queryKey: keys.incidents });
        void queries.invalidateQueries({ queryKey: keys.status });
      }
    },
    [id, queries],
  );
  return { sent, send };
}

export type Sending = ReturnType<typeof useSending>;
