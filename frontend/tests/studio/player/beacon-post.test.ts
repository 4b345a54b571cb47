import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { ApiError } from "@/shared/problems";
import { BeaconPost, beaconOf, EVERY_MS } from "@/studio/player/beacon-post";

const seen = (at: number) => ({ kind: "stalled" as const, at, positionMs: 12.4 });
const receipt = () => Promise.resolve(Response.json({ accepted: 1, ignored: 0 }));

function make(...answers: (() => Promise<Response>)[]) {
  const bodies: string[] = [];
  const send = vi.fn((body: string) => {
    bodies.push(body);
    return (answers.shift() ?? receipt)();
  });
  const sendAtLast = vi.fn((_body: string, _token: string | null) => undefined);
  const post = new BeaconPost({ send, sendAtLast, token: () => Promise.resolve("T") });
  const times = (body: string | undefined) =>
    (JSON.parse(body ?? "{}") as { events: { at: string }[] }).events.map(({ at }) => Date.parse(at));
  return { post, send, sendAtLast, batch: (n: number) => times(bodies[n]), times };
}

describe("beacons on their way", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  test("have the shape that the service takes", () => {
    expect(beaconOf("g", { ...seen(1000), detail: "d".repeat(600) })).toEqual({
      generation_id: "g",
      event: "stalled",
      at: "1970-01-01T00:00:01.000Z",
      position_ms: 12,
      client: "studio-web",
      client_version: expect.stringMatching(/^\d+\.\d+\.\d+/),
      detail: "d".repeat(500),
    });
  });

  test("go at once, and then at most every two seconds, together", async () => {
    const { post, send, batch } = make();
    post.add("g", [seen(1)]);
    await vi.advanceTimersByTimeAsync(0);
    expect(batch(0)).toEqual([1]);
    post.add("g", [seen(2)]);
    post.add("g", [seen(3)]);
    await vi.advanceTimersByTimeAsync(EVERY_MS - 1);
    expect(send).toHaveBeenCalledTimes(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(batch(1)).toEqual([2, 3]);
  });

  test("are sent again as they were when no answer came, with what came since", async () => {
    const { post, batch } = make(() => Promise.reject(new ApiError(0, "away")));
    post.add("g", [seen(1)]);
    await vi.advanceTimersByTimeAsync(0);
    post.add("g", [seen(2)]);
    await vi.advanceTimersByTimeAsync(5 * EVERY_MS);
    expect(batch(1)).toEqual([1, 2]);
  });

  test("wait as long as they are told to", async () => {
    const busy = () =>
      Promise.resolve(Response.json({ detail: "later" }, { status: 429, headers: { "Retry-After": "60" } }));
    const { post, send } = make(busy);
    post.add("g", [seen(1)]);
    await vi.advanceTimersByTimeAsync(59_000);
    expect(send).toHaveBeenCalledTimes(1);
    await vi.advanceTimersByTimeAsync(1000);
    expect(send).toHaveBeenCalledTimes(2);
  });

  test("are let go where they are refused for good", async () => {
    const { post, send } = make(() => Promise.resolve(Response.json({ detail: "no" }, { status: 400 })));
    post.add("g", [seen(1)]);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(send).toHaveBeenCalledTimes(1);
  });

  test("outlive a page that goes away, with the token", async () => {
    const { post, send, sendAtLast, times } = make();
    post.add("g", [seen(1)]);
    await vi.advanceTimersByTimeAsync(0);
    post.add("g", [seen(2)]);
    await vi.advanceTimersByTimeAsync(1);
    post.flush();
    expect(times(sendAtLast.mock.calls[0]?.[0])).toEqual([2]);
    expect(sendAtLast.mock.calls[0]?.[1]).toBe("T");
    await vi.advanceTimersByTimeAsync(60_000);
    expect(send).toHaveBeenCalledTimes(1);
  });
});
