/** How a stream ended that did not end well. */
export type Broken =
  /** Before its first audio: the answer's status and sentence; status 0 is no answer at all. */
  | { heard: false; status: number; detail: string }
  /**
   * Amid its audio: what became of its task (null when that could not be found out), and whether its end was
   * asked for in this browser. A connection that broke looks to the service like a person who hung up.
   */
  | { heard: true; task: Fate | null; asked: boolean };

export type Fate = "pending" | "processing" | "completed" | "failed" | "cancelled" | "deleted";

export type Decision =
  /** It is made in one piece instead. */
  | "fall_back"
  /** Somebody wanted it to end. */
  | "cancelled"
  /** All of it is stored: only its way here broke. */
  | "kept"
  /** It was refused: the sentence says why, and asking otherwise would be refused too. */
  | "refused"
  /** Nothing is known of it: it may have been taken. */
  | "unknown";

const NOT_STREAMING = /does not stream/;
const CANCELLED = /was cancelled/;
const OF_THE_PROVIDER = /speech provider/;

/** What is done about a stream that broke. Nothing billed is ever repeated by itself but by `fall_back`, once. */
export function afterBreak(broken: Broken): Decision {
  if (broken.heard) {
    if (broken.asked || broken.task === "deleted") return "cancelled";
    return broken.task === "completed" ? "kept" : "fall_back";
  }
  const { status, detail } = broken;
  if (status === 0) return "unknown";
  if (status === 409 && NOT_STREAMING.test(detail)) return "fall_back";
  if (status === 409 && CANCELLED.test(detail)) return "cancelled";
  if (status === 502 || status === 504) return "fall_back";
  if (status === 503 && OF_THE_PROVIDER.test(detail)) return "fall_back";
  return "refused";
}
