/** Whether what is on the screen is the present. Without React: what is judged is what is tested. */

/** Nothing from the guard for so long: what is shown is not the present. */
export const SILENT_AFTER_MS = 12_000;
/** The connection is known to be lost: no need to wait for the silence. Longer than one reconnection takes. */
export const LOST_AFTER_MS = 4_000;
/** The guard answers, but what it knows is older than this. The same limit as its own `/health`. */
export const STUCK_AFTER_MS = 10_000;

export type Reason = "waiting" | "lost" | "silent" | "stuck";

export interface Heard {
  connection: "connecting" | "live" | "lost";
  /** When the guard last said anything, by this browser's clock; null before it has. */
  heardAt: Date | null;
  /** When the guard last completed a look, by this browser's clock; null when it did not say. */
  lookedAt: Date | null;
}

export interface Freshness {
  fresh: boolean;
  /** The guard answers but does not look. */
  stuck: boolean;
  /** Milliseconds since the guard said anything; null when nothing was ever heard. */
  ageMs: number | null;
  /** The last moment for which the page is known to be true; null when nothing was ever heard. */
  asOf: Date | null;
  /** Why it is not fresh; null when it is. */
  reason: Reason | null;
}

const since = (at: Date, now: Date) => Math.max(0, now.getTime() - at.getTime());

export function judgeFreshness({ connection, heardAt, lookedAt }: Heard, now: Date): Freshness {
  if (heardAt === null) {
    const reason = connection === "lost" ? "lost" : "waiting";
    return { fresh: false, stuck: false, ageMs: null, asOf: null, reason };
  }
  const ageMs = since(heardAt, now);
  const stuck = lookedAt !== null && since(lookedAt, heardAt) > STUCK_AFTER_MS;
  const silent = ageMs >= SILENT_AFTER_MS;
  const lost = connection !== "live" && ageMs >= LOST_AFTER_MS;
  const reason: Reason | null = lost ? "lost" : silent ? "silent" : stuck ? "stuck" : null;
  return { fresh: reason === null, stuck, ageMs, asOf: lookedAt ?? heardAt, reason };
}
