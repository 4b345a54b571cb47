import type { Tone } from "@/shared/layout";
import type { Task } from "./speech";

/** How a status looks beside its word. */
export const TONES: Record<Task["status"], Tone> = {
  pending: "info",
  processing: "info",
  completed: "pass",
  failed: "fail",
  cancelled: "idle",
};
