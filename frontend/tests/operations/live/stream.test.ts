import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { listen, type StreamListener } from "@/operations/live/stream";

let guard: FakeGuard;

vi.mock("@/operations/api/client", () => ({
  GUARD: "",
  authorisedFetch: (url: string) => guard.fetch(url),
}));

/** A guard whose answers a test writes, piece by piece. */
class FakeGuard {
  readonly asked: string[] = [];
  #answers: (() => Response)[] = [];
  #writers: ReadableStreamDefaultController<Uint8Array>[] = [];
  readonly cancelled: number[] = [];

  readonly fetch = async (url: string) => {
    this.asked.push(url);
    const answer = this.#answers.shift();
    if (answer === undefined) return await new Promise<Response>(() => undefined);
    return answer();
  };

  answers(status: number): void {
    this.#answers.push(() => new Response(status === 401 ? "{}" : "", { status }));
  }

  drops(): void {
    this.#answers.push(() => {
      throw new TypeError("connection refused");
    });
  }

  streams(): { write: (bytes: Uint8Array | string) => void; end: () => void } {
    const index = this.#writers.length;
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#writers[index] = controller;
      },
      cancel: () => {
        this.cancelled.push(index);
      },
    });
    this.#answers.push(() => new Response(body));
    return {
      write: (bytes) =>
        this.#writers[index]?.enqueue(typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes),
      end: () => this.#writers[index]?.close(),
    };
  }
}

let end: AbortController;
let heard: [string, unknown, string | null][];
let told: string[];

const listener: StreamListener = {
  onOpen: () => told.push("open"),
  onEvent: (name, data, id) => heard.push([name, data, id]),
  onLost: () => told.push("lost"),
  onRefused: () => told.push("refused"),
};

const settle = () => vi.advanceTimersByTimeAsync(1);

beforeEach(() => {
  vi.useFakeTimers();
  guard = new FakeGuard();
  end = new AbortController();
  heard = [];
  told = [];
});

afterEach(() => {
  end.abort();
  vi.useRealTimers();
});

describe("what arrives", () => {
  test("events are put together across chunks, inside a character too", async () => {
    const stream = guard.streams();
    void listen(listener, end.signal);
    await settle();
    const bytes = new TextEncoder().encode('id: 7\nevent: journal\ndata: {"kind":"Rü"}\n\n');
    const cut = bytes.indexOf(0xc3) + 1;
    stream.write(bytes.slice(0, 9));
    await settle();
    stream.write(bytes.slice(9, cut));
    await settle();
    expect(heard).toEqual([]);
    stream.write(bytes.slice(cut));
    await settle();
    expect(heard).toEqual([["journal", { kind: "Rü" }, "7"]]);
  });

  test("several in one chunk, and comments between them", async () => {
    const stream = guard.streams();
    void listen(listener, end.signal);
    await settle();
    stream.write(': still here\n\nevent: beat\ndata: {"cycle_age_s":1}\n\nevent: status\ndata: {}\n\n');
    await settle();
    expect(heard.map(([name]) => name)).toEqual(["beat", "status"]);
  });

  test("one that is broken costs itself only", async () => {
    const stream = guard.streams();
    void listen(listener, end.signal);
    await settle();
    stream.write("event: status\ndata: {broken\n\nevent: status\ndata: {}\n\n");
    await settle();
    expect(heard).toHaveLength(1);
    expect(told).toEqual(["open"]);
  });
});

describe("what is lost", () => {
  test("it goes on after the last entry it knows", async () => {
    const first = guard.streams();
    const second = guard.streams();
    void listen(listener, end.signal);
    await settle();
    first.write("id: 41\nevent: journal\ndata: {}\n\nevent: beat\ndata: {}\n\n");
    await settle();
    first.end();
    await settle();
    expect(told).toEqual(["open", "lost"]);
    await vi.advanceTimersByTimeAsync(250);
    expect(guard.asked).toEqual(["/events", "/events?after=41"]);
    second.write("id: 42\nevent: journal\ndata: {}\n\n");
    await settle();
    expect(heard.map(([, , id]) => id)).toEqual(["41", null, "42"]);
  });

  test("silence is a loss, though the connection stands", async () => {
    const stream = guard.streams();
    guard.streams();
    void listen(listener, end.signal);
    await settle();
    await vi.advanceTimersByTimeAsync(11_000);
    stream.write(": still here\n\n");
    await vi.advanceTimersByTimeAsync(11_000);
    expect(told).toEqual(["open"]);
    await vi.advanceTimersByTimeAsync(1_500);
    expect(told).toEqual(["open", "lost", "open"]);
    expect(guard.cancelled).toEqual([0]);
  });

  test("waits grow, and begin anew after something was heard", async () => {
    for (let i = 0; i < 4; i += 1) guard.drops();
    const stream = guard.streams();
    void listen(listener, end.signal);
    await settle();
    expect(guard.asked).toHaveLength(1);
    for (const wait of [250, 500, 1000, 2000]) await vi.advanceTimersByTimeAsync(wait);
    expect(guard.asked).toHaveLength(5);
    stream.write(": still here\n\n");
    await settle();
    stream.end();
    await vi.advanceTimersByTimeAsync(251);
    expect(guard.asked).toHaveLength(6);
  });

  test("a server that takes connections only to drop them is not asked again and again", async () => {
    const streams = [guard.streams(), guard.streams(), guard.streams()];
    void listen(listener, end.signal);
    await settle();
    streams[0]?.end();
    await vi.advanceTimersByTimeAsync(255);
    streams[1]?.end();
    await vi.advanceTimersByTimeAsync(255);
    expect(guard.asked).toHaveLength(2);
    await vi.advanceTimersByTimeAsync(255);
    expect(guard.asked).toHaveLength(3);
  });

  test("a place in the journal that this guard does not know is forgotten", async () => {
    const first = guard.streams();
    guard.answers(400);
    guard.streams();
    void listen(listener, end.signal);
    await settle();
    first.write("id: 41\nevent: journal\ndata: {}\n\n");
    await settle();
    first.end();
    await vi.advanceTimersByTimeAsync(251);
    await vi.advanceTimersByTimeAsync(501);
    expect(guard.asked).toEqual(["/events", "/events?after=41", "/events"]);
  });
});

describe("what ends it", () => {
  test("401: the key is refused, and nothing is tried again", async () => {
    guard.answers(401);
    await listen(listener, end.signal);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(told).toEqual(["refused"]);
    expect(guard.asked).toHaveLength(1);
  });

  test("the page is left", async () => {
    guard.streams();
    const done = listen(listener, end.signal);
    await settle();
    end.abort();
    await done;
    expect(told).toEqual(["open"]);
    expect(guard.cancelled).toEqual([0]);
  });
});
