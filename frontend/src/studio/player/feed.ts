import type { Bytes } from "./bytes";
import { Packing } from "./packing";

/** Audio that comes in pieces. */
export interface Feed {
  /** What an audio element plays; null until there is something to play. */
  readonly url: string | null;
  /** How far it was played: told by whoever plays it. */
  heardS: number;
  append: (bytes: Bytes) => void;
  /** No more comes: all of it is here, or (`false`) the rest never will be. */
  end: (whole: boolean) => void;
  close: () => void;
}

export interface FeedEvents {
  /** There is a URL now: to be played. */
  ready: (url: string) => void;
  /** More can be played than before. */
  grew: () => void;
  undecodable: (detail: string) => void;
}

const MP3 = "audio/mpeg";
/** What Firefox wants MP3 in, to play it while it comes. */
const MP3_IN_MP4 = 'audio/mp4; codecs="mp3"';

interface Live {
  source: typeof MediaSource;
  type: string;
}

function live(): Live | null {
  const managed = (globalThis as { ManagedMediaSource?: typeof MediaSource }).ManagedMediaSource;
  const source = managed ?? globalThis.MediaSource;
  const type = [MP3, MP3_IN_MP4].find((one) => source?.isTypeSupported(one));
  return source && type ? { source, type } : null;
}

/** Plays while it comes where this browser can; where it cannot, once all of it is there. */
export function openFeed(events: FeedEvents): Feed {
  const found = live();
  return found ? new LiveFeed(found, events) : new WholeFeed(events);
}

/** Seconds before the point of playback that stay in a buffer that is full. */
const BEHIND_S = 10;

class LiveFeed implements Feed {
  readonly url: string;
  heardS = 0;
  private readonly source: MediaSource;
  private buffer: SourceBuffer | null = null;
  private readonly queue: Bytes[] = [];
  private over = false;
  private closed = false;
  /** Where the buffer takes another container. */
  private readonly packing: Packing | null;

  constructor(
    private readonly live: Live,
    private readonly events: FeedEvents,
  ) {
    this.source = new live.source();
    this.packing =
      live.type === MP3_IN_MP4
        ? new Packing({ packed: this.take, finished: this.finish, failed: events.undecodable })
        : null;
    this.url = URL.createObjectURL(this.source);
    this.source.addEventListener("sourceopen", this.open, { once: true });
    events.ready(this.url);
  }

  append(bytes: Bytes): void {
    if (this.packing) this.packing.push(bytes);
    else this.take(bytes);
  }

  end(): void {
    if (this.packing) this.packing.end();
    else this.finish();
  }

  close(): void {
    this.closed = true;
    this.packing?.stop();
    this.queue.length = 0;
    URL.revokeObjectURL(this.url);
  }

  private readonly take = (bytes: Bytes) => {
    this.queue.push(bytes);
    this.pump();
  };

  private readonly finish = () => {
    this.over = true;
    this.pump();
  };

  private readonly open = () => {
    if (this.closed) return;
    const buffer = this.source.addSourceBuffer(this.live.type);
    buffer.addEventListener("updateend", () => {
      this.events.grew();
      this.pump();
    });
    buffer.addEventListener("error", () => this.events.undecodable("the buffer refused the audio"));
    this.buffer = buffer;
    this.pump();
  };

  private pump(): void {
    const buffer = this.buffer;
    if (this.closed || !buffer || buffer.updating || this.source.readyState !== "open") return;
    const next = this.queue[0];
    if (next === undefined) {
      if (this.over) this.source.endOfStream();
      return;
    }
    try {
      buffer.appendBuffer(next);
      this.queue.shift();
    } catch (error) {
      if (!(error instanceof DOMException) || error.name !== "QuotaExceededError") throw error;
      this.makeRoom(buffer);
    }
  }

  /** A long speech does not fit: what was heard makes room, and until then the rest waits. */
  private makeRoom(buffer: SourceBuffer): void {
    const first = buffer.buffered.length > 0 ? buffer.buffered.start(0) : 0;
    const until = this.heardS - BEHIND_S;
    if (until > first) buffer.remove(first, until);
    else setTimeout(() => this.pump(), 1000);
  }
}

class WholeFeed implements Feed {
  url: string | null = null;
  heardS = 0;
  private readonly parts: Bytes[] = [];

  constructor(private readonly events: FeedEvents) {}

  append(bytes: Bytes): void {
    this.parts.push(bytes);
  }

  end(whole: boolean): void {
    // Half a speech that nobody has begun to hear is not begun.
    if (!whole) return;
    this.url = URL.createObjectURL(new Blob(this.parts, { type: MP3 }));
    this.events.ready(this.url);
  }

  close(): void {
    this.parts.length = 0;
    if (this.url) URL.revokeObjectURL(this.url);
  }
}
