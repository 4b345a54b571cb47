import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { joined } from "@/studio/player/bytes";
import { type FeedEvents, openFeed } from "@/studio/player/feed";
import { frameOfMp3 } from "./mp3";

/** A buffer that is done with what it is given by the next turn. */
class Buffer extends EventTarget {
  updating = false;
  readonly taken: Uint8Array[] = [];
  buffered = { length: 0 } as TimeRanges;

  appendBuffer(bytes: Uint8Array): void {
    this.taken.push(bytes);
    this.updating = true;
    queueMicrotask(() => {
      this.updating = false;
      this.dispatchEvent(new Event("updateend"));
    });
  }
}

let plays: string[];
let opened: Source[];

class Source extends EventTarget {
  static isTypeSupported = (type: string) => plays.includes(type);
  readyState = "open";
  readonly buffers: { type: string; buffer: Buffer }[] = [];

  constructor() {
    super();
    opened.push(this);
    queueMicrotask(() => this.dispatchEvent(new Event("sourceopen")));
  }

  addSourceBuffer(type: string): Buffer {
    const buffer = new Buffer();
    this.buffers.push({ type, buffer });
    return buffer;
  }

  endOfStream(): void {
    this.readyState = "ended";
  }
}

const speech = joined(...[1, 2, 3, 4, 5, 6, 7, 8].map(frameOfMp3));
const events = () => ({ ready: vi.fn<FeedEvents["ready"]>(), grew: vi.fn(), undecodable: vi.fn() });

describe("a feed", () => {
  beforeEach(() => {
    opened = [];
    vi.stubGlobal("MediaSource", Source);
    vi.spyOn(URL, "createObjectURL").mockReturnValue("blob:1");
    vi.spyOn(URL, "revokeObjectURL").mockReturnValue();
  });
  afterEach(() => vi.unstubAllGlobals());

  test("gives MP3 on as it is, where the browser plays it while it comes", async () => {
    plays = ["audio/mpeg", 'audio/mp4; codecs="mp3"'];
    const told = events();
    const feed = openFeed(told);
    expect(told.ready).toHaveBeenCalledWith("blob:1");
    feed.append(speech);
    feed.end(true);
    await vi.waitFor(() => expect(opened[0]?.readyState).toBe("ended"));
    expect(opened[0]?.buffers).toMatchObject([{ type: "audio/mpeg", buffer: { taken: [speech] } }]);
  });

  test("puts it into MP4 where the browser wants that, and is heard before its end", async () => {
    plays = ['audio/mp4; codecs="mp3"'];
    const told = events();
    const feed = openFeed(told);
    feed.append(speech);
    await vi.waitFor(() => expect(told.grew).toHaveBeenCalled());
    const [first] = opened[0]?.buffers ?? [];
    expect(first?.type).toBe('audio/mp4; codecs="mp3"');
    expect(opened[0]?.readyState).toBe("open");
    feed.append(frameOfMp3(9));
    feed.end(true);
    await vi.waitFor(() => expect(opened[0]?.readyState).toBe("ended"));
    const all = joined(...(first?.buffer.taken ?? []));
    expect(new TextDecoder("latin1").decode(all.subarray(0, 12))).toContain("ftyp");
    expect(told.undecodable).not.toHaveBeenCalled();
  });

  test("says so where what comes is no MP3", async () => {
    plays = ['audio/mp4; codecs="mp3"'];
    const told = events();
    const feed = openFeed(told);
    feed.append(new Uint8Array(300).fill(7));
    feed.end(true);
    await vi.waitFor(() => expect(told.undecodable).toHaveBeenCalledOnce());
  });

  test("that is closed says nothing more", async () => {
    plays = ['audio/mp4; codecs="mp3"'];
    const told = events();
    const feed = openFeed(told);
    feed.append(new Uint8Array(300).fill(7));
    feed.end(true);
    feed.close();
    await new Promise((resolve) => setTimeout(resolve));
    await import("@/studio/player/fragments");
    await new Promise((resolve) => setTimeout(resolve));
    expect(told.undecodable).not.toHaveBeenCalled();
    expect(opened[0]?.readyState).toBe("open");
  });

  test("is there at its end only, where the browser plays nothing while it comes", () => {
    plays = [];
    const told = events();
    const feed = openFeed(told);
    feed.append(speech);
    expect([feed.url, told.ready.mock.calls]).toEqual([null, []]);
    feed.end(true);
    expect([feed.url, told.ready.mock.calls]).toEqual(["blob:1", [["blob:1"]]]);
  });
});
