import { afterEach, describe, expect, test, vi } from "vitest";
import { freshKey, isOver, pause, readStream } from "@/studio/speaking/speech";

type Bytes = Uint8Array<ArrayBuffer>;

/** A body that brings some pieces and then ends as `end` says. */
function body(pieces: number[], end: (controller: ReadableStreamDefaultController<Bytes>) => void) {
  const left = [...pieces];
  return new ReadableStream<Bytes>({
    pull: (controller) => {
      const next = left.shift();
      if (next === undefined) end(controller);
      else controller.enqueue(new Uint8Array([next]));
    },
  });
}

async function read(stream: ReadableStream<Bytes>, signal = new AbortController().signal) {
  const got: number[] = [];
  const end = await readStream(stream, signal, (bytes) => got.push(...bytes));
  return { got, end };
}

describe("reading a stream", () => {
  test("to a clean end: all of it, in order", async () => {
    const stream = body([1, 2, 3], (controller) => controller.close());
    expect(await read(stream)).toEqual({ got: [1, 2, 3], end: "whole" });
  });

  test("that breaks off: what came before is kept", async () => {
    const stream = body([1, 2], (controller) => controller.error(new TypeError("network error")));
    expect(await read(stream)).toEqual({ got: [1, 2], end: "cut" });
  });

  test("that was given up is no cut", async () => {
    const abort = new AbortController();
    const stream = body([1], (controller) => {
      abort.abort();
      controller.error(abort.signal.reason);
    });
    await expect(read(stream, abort.signal)).rejects.toThrow(/abort/i);
  });
});

describe("small things", () => {
  afterEach(() => void vi.useRealTimers());

  test("a key is printable ASCII and never the same", () => {
    expect(freshKey()).toMatch(/^[0-9a-f]{32}$/);
    expect(freshKey()).not.toBe(freshKey());
  });

  test("a pause ends when it is no use any more", async () => {
    vi.useFakeTimers();
    const abort = new AbortController();
    const paused = pause(60_000, abort.signal);
    abort.abort(new Error("enough"));
    await expect(paused).rejects.toThrow("enough");
    expect(vi.getTimerCount()).toBe(0);
  });

  test("which statuses are ends", () => {
    expect((["completed", "failed", "cancelled"] as const).every(isOver)).toBe(true);
    expect((["pending", "processing"] as const).some(isOver)).toBe(false);
  });
});
