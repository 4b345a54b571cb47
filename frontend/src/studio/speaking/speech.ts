import { ApiError, problemOf } from "@/shared/problems";
import { common } from "@/strings/common";
import { generate as words } from "@/strings/generate";
import { answered, api, authorisedFetch, type Schemas } from "../api/client";

export type Task = Schemas["Task"];
type Started = Schemas["StartedGeneration"];

/** What is to be spoken. */
export interface Order {
  voiceId: string;
  text: string;
  language: string;
}

export interface OpenStream {
  generationId: string;
  taskId: string;
  body: ReadableStream<Uint8Array<ArrayBuffer>>;
}

const LONG_POLL_S = 25;
const TRIES = 4;

/** A name for one press of a button: whatever is sent again under it is done once. */
export function freshKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) =>
    byte.toString(16).padStart(2, "0"),
  ).join("");
}

const bodyOf = (order: Order) => ({
  voice_id: order.voiceId,
  text: order.text,
  language: order.language,
});

/** Answers with the first audio; throws ApiError before that. Aborting it is how it is cancelled. */
export async function openStream(order: Order, key: string, signal: AbortSignal): Promise<OpenStream> {
  const response = await authorisedFetch("/api/generate/stream", {
    method: "POST",
    headers: { "Content-Type": "application/json", "Idempotency-Key": key },
    body: JSON.stringify(bodyOf(order)),
    signal,
  });
  const generationId = response.headers.get("X-Generation-Id");
  const taskId = response.headers.get("X-Task-Id");
  if (!response.ok || response.body === null || !generationId || !taskId) {
    throw await problemOf(response, common.failed);
  }
  return { generationId, taskId, body: response.body };
}

/** Reads a stream to its end; `cut` when it breaks off. Throws AbortError when it was given up. */
export async function readStream(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
  signal: AbortSignal,
  take: (bytes: Uint8Array<ArrayBuffer>) => void,
): Promise<"whole" | "cut"> {
  const reader = body.getReader();
  for (;;) {
    let piece: Awaited<ReturnType<typeof reader.read>>;
    try {
      piece = await reader.read();
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof DOMException && error.name === "AbortError") throw error;
      return "cut";
    }
    if (piece.done) return "whole";
    take(piece.value);
  }
}

/** Starts it as a task; sent again under the same key while no answer comes, so it is begun once. */
export async function startTask(order: Order, key: string, signal: AbortSignal): Promise<Started> {
  for (let failures = 1; ; failures += 1) {
    try {
      return await answered(
        api.POST("/api/generate", {
          body: bodyOf(order),
          params: { header: { "Idempotency-Key": key } },
          signal,
        }),
      );
    } catch (error) {
      if (!(error instanceof ApiError) || !error.unreachable || failures === TRIES) throw error;
      await pause(500 * 2 ** failures, signal);
    }
  }
}

/** Asks until the task is over, however often the way there breaks. */
export async function untilOver(
  taskId: string,
  signal: AbortSignal,
  changed: (task: Task) => void = () => undefined,
): Promise<Task> {
  for (let failures = 0; ; ) {
    try {
      const task = await findTask(taskId, LONG_POLL_S, signal);
      failures = 0;
      changed(task);
      if (isOver(task.status)) return task;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (error.status === 404) throw new ApiError(404, words.gone);
      failures += 1;
      await pause((error.retryAfterS ?? Math.min(2 ** failures, 15)) * 1000, signal);
    }
  }
}

export function findTask(taskId: string, waitS: number, signal: AbortSignal): Promise<Task> {
  const params = { path: { id: taskId }, query: { wait: waitS } };
  return answered(api.GET("/api/tasks/{id}", { params, signal }));
}

/** Tasks whose end was asked for in this browser, in whichever of its tabs. */
const ended = new Set<string>();
const tabs = "BroadcastChannel" in globalThis ? new BroadcastChannel("understudy.cancelled") : null;
tabs?.addEventListener("message", ({ data }) => typeof data === "string" && ended.add(data));

export function endWasAskedFor(taskId: string): boolean {
  return ended.has(taskId);
}

/** Asks for its end; one that is over already is none the worse. */
export async function cancelTask(taskId: string): Promise<void> {
  ended.add(taskId);
  tabs?.postMessage(taskId);
  try {
    await api.POST("/api/tasks/{id}/cancel", { params: { path: { id: taskId } } });
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 400) throw error;
  }
}

export function isOver(status: Task["status"]): boolean {
  return status === "completed" || status === "failed" || status === "cancelled";
}

/** Waits; throws AbortError at once when it is no use any more. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stop);
      resolve();
    }, ms);
    signal.addEventListener("abort", stop, { once: true });
  });
}
