import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { BeaconPost } from "@/studio/player/beacon-post";
import { Player } from "@/studio/player/engine";
import type { FeedEvents } from "@/studio/player/feed";
import { SILENCE } from "@/studio/player/playback";

const track = { key: "generation:g", title: "Ann", about: "Hello" };
const link = () => Promise.resolve("http://elsewhere:1/objects/generations/a.mp3?token=1");

function make() {
  const told: string[] = [];
  const post = new BeaconPost({
    send: () => Promise.resolve(Response.json({})),
    sendAtLast: () => undefined,
    token: () => Promise.resolve(null),
  });
  vi.spyOn(post, "add").mockImplementation((generationId, seen) => {
    for (const { kind } of seen) told.push(`${generationId} ${kind}`);
  });
  let heard: FeedEvents | null = null;
  const feed = { url: "blob:1", heardS: 0, append: vi.fn(), end: vi.fn(), close: vi.fn() };
  const player = new Player(post, (events) => {
    heard = events;
    events.ready("blob:1");
    return feed;
  });
  const detach = player.attach();
  let bufferedS = 0;
  vi.spyOn(player.audio, "buffered", "get").mockImplementation(
    () => ({ length: bufferedS > 0 ? 1 : 0, start: () => 0, end: () => bufferedS }) as TimeRanges,
  );
  return {
    player,
    detach,
    told,
    feed,
    hear: (name: string) => player.audio.dispatchEvent(new Event(name)),
    grow: (seconds: number) => {
      bufferedS = seconds;
      heard?.grew();
    },
    undecodable: () => heard?.undecodable("bad frame"),
    stream: () => player.openStream({ ...track, generationId: "g", link }),
  };
}

describe("the player", () => {
  let play: ReturnType<typeof vi.fn>;
  beforeEach(() => {
    play = vi.fn(() => Promise.resolve());
    vi.spyOn(HTMLMediaElement.prototype, "play").mockImplementation(play as () => Promise<void>);
    vi.spyOn(HTMLMediaElement.prototype, "pause").mockImplementation(() => undefined);
    vi.spyOn(HTMLMediaElement.prototype, "load").mockImplementation(() => undefined);
  });
  afterEach(() => void vi.useRealTimers());

  test("begins a stream when enough of it is there, not before", () => {
    const { player, grow, stream } = make();
    stream();
    grow(0.1);
    expect(play).not.toHaveBeenCalled();
    grow(0.5);
    expect(play).toHaveBeenCalledOnce();
    expect(player.snapshot()).toMatchObject({ track, live: true, phase: "loading" });
  });

  test("tells of a stream that is heard to its end", () => {
    const { told, grow, hear, stream, feed } = make();
    const sink = stream();
    grow(1);
    hear("playing");
    sink.whole();
    hear("ended");
    expect(feed.end).toHaveBeenCalledWith(true);
    expect(told).toEqual(["g started", "g ended"]);
  });

  test("tells of a stream that runs dry", () => {
    vi.useFakeTimers();
    const { told, grow, hear, stream } = make();
    stream();
    grow(1);
    hear("playing");
    grow(0.1);
    hear("waiting");
    vi.advanceTimersByTime(500);
    expect(told).toEqual(["g started", "g stalled"]);
  });

  test("tells of a stream that breaks off, and plays what it has", () => {
    const { player, told, grow, hear, stream } = make();
    const sink = stream();
    grow(1);
    hear("playing");
    sink.cut("the connection broke off");
    expect(told).toEqual(["g started", "g ended_early"]);
    expect(player.snapshot()).toMatchObject({ track, cut: true, live: false });
  });

  test("puts away a stream that broke off before anything was heard", () => {
    const { player, told, stream } = make();
    stream().cut("the connection broke off");
    expect(told).toEqual(["g ended_early"]);
    expect(player.snapshot()).toEqual(SILENCE);
  });

  test("tells of audio that cannot be decoded", () => {
    const { player, told, grow, hear, stream, undecodable } = make();
    stream();
    grow(1);
    hear("playing");
    undecodable();
    expect(told).toEqual(["g started", "g decode_error"]);
    expect(player.snapshot().phase).toBe("failed");
  });

  test("tells nothing when the person stops, or plays something else", () => {
    const { player, told, grow, hear, stream, feed } = make();
    const sink = stream();
    grow(1);
    hear("playing");
    player.playStored({ ...track, key: "voice:1" }, link);
    sink.append(new Uint8Array(1));
    sink.cut("late");
    hear("ended");
    expect(told).toEqual(["g started"]);
    expect(feed.append).not.toHaveBeenCalled();
    expect(feed.close).toHaveBeenCalledOnce();
  });

  test("tells nothing of what is stored, and plays it from this page's own address", async () => {
    const { player, told, hear } = make();
    player.playStored(track, link);
    await vi.waitFor(() => expect(play).toHaveBeenCalledOnce());
    expect(player.audio.src).toBe(`${window.location.origin}/objects/generations/a.mp3?token=1`);
    hear("playing");
    hear("waiting");
    hear("ended");
    expect(told).toEqual([]);
  });

  test("asks for another link when the one it had expired, once", async () => {
    const { player, hear } = make();
    const asked = vi.fn(link);
    player.playStored(track, asked);
    await vi.waitFor(() => expect(play).toHaveBeenCalledOnce());
    Object.defineProperty(player.audio, "error", { value: { code: 2, message: "" } });
    vi.stubGlobal("MediaError", { MEDIA_ERR_DECODE: 3 });
    hear("error");
    await vi.waitFor(() => expect(asked).toHaveBeenCalledTimes(2));
    hear("error");
    expect(asked).toHaveBeenCalledTimes(2);
    expect(player.snapshot().phase).toBe("failed");
    vi.unstubAllGlobals();
  });

  test("plays from the start what it has, and asks for what it has not", async () => {
    const { player, hear } = make();
    const asked = vi.fn(link);
    player.playFromStart(track, asked);
    await vi.waitFor(() => expect(play).toHaveBeenCalledOnce());
    hear("playing");
    hear("pause");
    player.playFromStart(track, asked);
    expect(asked).toHaveBeenCalledOnce();
    expect(play).toHaveBeenCalledTimes(2);
  });

  test("waits for a press where the browser wants one", async () => {
    const { player } = make();
    play.mockRejectedValueOnce(new DOMException("no", "NotAllowedError"));
    player.playStored(track, link);
    await vi.waitFor(() => expect(player.snapshot().phase).toBe("paused"));
    player.toggle();
    expect(play).toHaveBeenCalledTimes(2);
  });

  test("is silent when nobody listens any more", () => {
    const { player, detach, stream, grow, hear } = make();
    stream();
    grow(1);
    hear("playing");
    detach();
    expect(player.snapshot()).toEqual(SILENCE);
  });
});
