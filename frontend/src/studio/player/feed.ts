/** Audio that comes in pieces. */
export interface Feed {
  /** What an audio element plays; null until there is something to play. */
  readonly url: string | null;
  /** How far it was played: told by whoever plays it. */
  heardS: number;
  append: (bytes: Uint8Array<ArrayBuffer>) => void;
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

function mediaSource(): typeof MediaSource | null {
  const managed = (globalThis as { ManagedMediaSource?: typeof MediaSource }).ManagedMediaSource;
  const kind = managed ?? globalThis.MediaSource;
  return kind?.isTypeSupported(MP3) ? kind : null;
}

/** Plays while it comes where this browser can; where it cannot, once all of it is there. */
export function openFeed(events: FeedEvents): Feed {
  const kind = mediaSource();
  return kind ? new LiveFeed(kind, events) : new WholeFeed(events);
}

/** Seconds before the point of playback that stay in a buffer that is full. */
const BEHIND_S = 10;

class LiveFeed implements Feed {
  readonly url: string;
  heardS = 0;
  private readonly source: MediaSource;
  private buffer: SourceBuffer | null = null;
  private readonly queue: Uint8Array<ArrayBuffer>[] = [];
  private over = false;
  private closed = false;

  constructor(
    kind: typeof MediaSource,
    private readonly events: FeedEvents,
  ) {
    this.source = new kind();
    this.url = URL.createObjectURL(this.source);
    this.source.addEventListener("sourceopen", this.open, { once: true });
    events.ready(this.url);
  }

  append(bytes: Uint8Array<ArrayBuffer>): void {
    this.queue.push(bytes);
    this.pump();
  }

  end(): void {
    this.over = true;
    this.pump();
  }

  close(): void {
    this.closed = true;
    this.queue.length = 0;
    URL.revokeObjectURL(this.url);
  }

  private readonly open = () => {
    if (this.closed) return;
    const buffer = this.source.addSourceBuffer(MP3);
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
  private readonly parts: Uint8Array<ArrayBuffer>[] = [];

  constructor(private readonly events: FeedEvents) {}

  append(bytes: Uint8Array<ArrayBuffer>): void {
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
