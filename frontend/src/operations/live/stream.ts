import { createParser, type EventSourceMessage } from "eventsource-parser";
import { authorisedFetch, GUARD } from "../api/client";
import { SILENT_AFTER_MS } from "./freshness";

const AGAIN_AFTER_MS = [250, 500, 1000, 2000, 4000];

export interface StreamListener {
  onOpen: () => void;
  onEvent: (name: string, data: unknown, id: string | null) => void;
  /** The connection ended and is being made again. */
  onLost: () => void;
  /** The guard does not take the key. */
  onRefused: () => void;
}

/** Listens to the guard's events until `signal` aborts; goes on where it was after each reconnection. */
export async function listen(listener: StreamListener, signal: AbortSignal): Promise<void> {
  let last: string | null = null;
  let failures = 0;
  while (!signal.aborted) {
    const attempt = new AbortController();
    const stop = () => attempt.abort();
    signal.addEventListener("abort", stop);
    let silence = setTimeout(stop, SILENT_AFTER_MS);
    try {
      const response = await authorisedFetch(`${GUARD}/events${last === null ? "" : `?after=${last}`}`, {
        signal: attempt.signal,
        headers: { Accept: "text/event-stream" },
      });
      if (response.status === 401) {
        listener.onRefused();
        return;
      }
      // The place in the journal is one that this guard does not know: only what comes now is asked for.
      if (response.status === 400) last = null;
      if (!response.ok || response.body === null) throw new Error(String(response.status));
      listener.onOpen();
      const parser = createParser({
        onEvent: (event: EventSourceMessage) => {
          const data = parsed(event.data);
          if (event.id !== undefined) last = event.id;
          if (data !== undefined) listener.onEvent(event.event ?? "message", data, event.id ?? null);
        },
        // A comment is a sign of life, and nothing else.
        onComment: () => undefined,
      });
      for await (const text of texts(response.body, attempt.signal)) {
        clearTimeout(silence);
        silence = setTimeout(stop, SILENT_AFTER_MS);
        parser.feed(text);
        // A server that takes connections only to drop them is not asked four times a second.
        failures = 0;
      }
    } catch {
      // Lost, silent or away: said below, and tried again.
    } finally {
      clearTimeout(silence);
      signal.removeEventListener("abort", stop);
      attempt.abort();
    }
    if (signal.aborted) return;
    listener.onLost();
    await pause(AGAIN_AFTER_MS[Math.min(failures, AGAIN_AFTER_MS.length - 1)] ?? 4000, signal);
    failures += 1;
  }
}

/** What arrives, decoded across the edges of chunks; ends with the body, or when `signal` aborts. */
async function* texts(body: ReadableStream<Uint8Array>, signal: AbortSignal): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  const reader = body.getReader();
  const cancel = () => void reader.cancel().catch(() => undefined);
  signal.addEventListener("abort", cancel);
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done || signal.aborted) return;
      yield decoder.decode(value, { stream: true });
    }
  } finally {
    signal.removeEventListener("abort", cancel);
    cancel();
  }
}

function parsed(data: string): unknown {
  try {
    return JSON.parse(data);
  } catch {
    return undefined;
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
