import type { Order, Task } from "./speech";

export type RunPhase = UnderWay | "done" | "failed" | "cancelled";

export type UnderWay =
  /** Asked for; no audio yet. */
  | "asking"
  /** Audio comes while it is spoken. */
  | "speaking"
  /** It is made in one piece, and comes when it is ready. */
  | "making";

/** One press of the button, until it is over. */
export interface Run {
  order: Order;
  voiceName: string;
  phase: RunPhase;
  /** Milliseconds since 1970. */
  startedAt: number;
  /** From the press to the first sound. */
  firstSoundMs: number | null;
  /** It began as a stream and could not go on as one. */
  fellBack: boolean;
  taskId: string | null;
  taskStatus: Task["status"] | null;
  generationId: string | null;
  /** Minutes that the speech will be long. */
  estimatedMinutes: number | null;
  cancelling: boolean;
  problem: Problem | null;
}

export interface Problem {
  sentence: string;
  /** Before that it is no use to try again. */
  retryAt: number | null;
  /** Nobody knows whether it was taken. */
  unknown: boolean;
}

export function isUnderWay(run: Run | null): run is Run & { phase: UnderWay } {
  return run !== null && (run.phase === "asking" || run.phase === "speaking" || run.phase === "making");
}
