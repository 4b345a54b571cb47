import { sentenceOf } from "@/shared/problems";
import { player as words } from "@/strings/player";
import { BeaconPost } from "./beacon-post";
import { BEGINNING, type Listening, listen, type Signal, STALL_MS } from "./beacons";
import { type Feed, openFeed } from "./feed";
import { ownOrigin } from "./links";
import { type PlayerEvent, type PlayerState, play, SILENCE, sounds, type Track } from "./playback";

/** Answers where the audio is; asked again when what it said has expired. */
export type Link = () => Promise<string>;

/** Where the audio of a stream is put, as it comes. */
export interface Sink {
  /** Which generation it is: known with the first audio. */
  append: (bytes: Uint8Array<ArrayBuffer>) => void;
  /** All of it came. */
  whole: () => void;
  /** It broke off, and nobody wanted that. */
  cut: (why: string) => void;
  /** It was given up on purpose: it leaves the player, where it is still there. */
  drop: () => void;
}

export interface Streamed extends Track {
  generationId: string;
  /** Where all of it lies afterwards. */
  link: Link;
}

/** So much of a stream is there before it begins to sound: two late packets are not heard then. */
const AHEAD_S = 0.35;
const TICK_MS = STALL_MS / 2;

interface Source {
  track: Track;
  link: Link;
  /** Asked for anew after the link it had did not work any more. */
  renewed: boolean;
  stream: { feed: Feed; generationId: string; begun: boolean; listening: Listening } | null;
}

const SILENCE_SAMPLES = 400;

/** A WAV of 50 ms in which nothing is heard. */
function silence(): Blob {
  const header = new DataView(new ArrayBuffer(44));
  const word = (at: number, text: string) => {
    for (const [index, char] of [...text].entries()) header.setUint8(at + index, char.charCodeAt(0));
  };
  word(0, "RIFF");
  header.setUint32(4, 36 + SILENCE_SAMPLES, true);
  word(8, "WAVEfmt ");
  header.setUint32(16, 16, true);
  header.setUint16(20, 1, true);
  header.setUint16(22, 1, true);
  header.setUint32(24, 8000, true);
  header.setUint32(28, 8000, true);
  header.setUint16(32, 1, true);
  header.setUint16(34, 8, true);
  word(36, "data");
  header.setUint32(40, SILENCE_SAMPLES, true);
  return new Blob([header, new Uint8Array(SILENCE_SAMPLES).fill(128)], { type: "audio/wav" });
}

/** The one audio element of the studio, and what plays on it. Nothing here knows of pages. */
export class Player {
  readonly audio = new Audio();
  private state: PlayerState = SILENCE;
  private source: Source | null = null;
  private silent: string | null = null;
  private readonly listeners = new Set<() => void>();
  private ticking: ReturnType<typeof setInterval> | null = null;

  constructor(
    private readonly post: BeaconPost = new BeaconPost(),
    private readonly feeds: typeof openFeed = openFeed,
  ) {
    this.audio.preload = "auto";
  }

  readonly snapshot = (): PlayerState => this.state;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  /** Listens to the element until the answer is called; then everything is silent. */
  attach(): () => void {
    const on = new AbortController();
    const hear = (name: string, react: () => void) =>
      this.audio.addEventListener(name, react, { signal: on.signal });
    hear("playing", () => this.became("playing", "playing"));
    hear("waiting", () => this.dried());
    hear("pause", () => {
      if (!this.audio.ended) this.became("paused", "paused");
    });
    hear("seeking", () => this.signal("sought"));
    hear("timeupdate", () => this.moved());
    hear("durationchange", () => this.moved());
    hear("progress", () => this.moved());
    hear("ended", () => this.ended());
    hear("error", () => void this.broke());
    window.addEventListener("pagehide", () => this.post.flush(), { signal: on.signal });
    return () => {
      on.abort();
      this.dismiss();
      this.post.flush();
    };
  }

  /** Plays what is stored; pressed again for the same track, it pauses or goes on. */
  playStored(track: Track, link: Link): void {
    if (this.source?.track.key === track.key && this.state.phase !== "failed") {
      this.toggle();
      return;
    }
    this.leave();
    this.source = { track, link, renewed: false, stream: null };
    this.tell({ kind: "opened", track, live: false });
    void this.load(0);
  }

  /** Plays it from its start, wherever it is now. */
  playFromStart(track: Track, link: Link): void {
    if (this.source?.track.key !== track.key || this.state.phase === "failed") {
      this.playStored(track, link);
      return;
    }
    this.seek(0);
    if (!sounds(this.state)) this.resume();
  }

  /** Opens a stream: it begins to sound as soon as enough of it is here. */
  openStream({ generationId, link, ...track }: Streamed): Sink {
    this.leave();
    const source: Source = { track, link, renewed: false, stream: null };
    this.source = source;
    const here = () => this.source === source;
    this.tell({ kind: "opened", track, live: true });
    const feed = this.feeds({
      ready: (url) => {
        if (!here()) return;
        this.audio.src = url;
        this.audio.playbackRate = this.state.rate;
      },
      grew: () => {
        if (!here()) return;
        this.begin(false);
        this.moved();
      },
      undecodable: (detail) => here() && this.undecodable(detail),
    });
    source.stream = { feed, generationId, begun: false, listening: BEGINNING };
    this.ticking ??= setInterval(() => this.signal("tick"), TICK_MS);
    return {
      append: (bytes) => here() && feed.append(bytes),
      whole: () => {
        if (!here()) return;
        feed.end(true);
        this.signal("whole");
        this.tell({ kind: "whole" });
        this.begin(true);
      },
      cut: (why) => {
        if (!here()) return;
        feed.end(false);
        this.signal("cut", why);
        this.tell({ kind: "cut" });
        if (this.source?.stream?.begun) this.begin(true);
        else this.dismiss();
      },
      drop: () => {
        if (here()) this.dismiss();
      },
    };
  }

  /**
   * Called at a press that will be heard of later: wakes what makes sound, and tells a browser that wants a
   * press for every sound that this was it.
   */
  prepare(): void {
    if (this.source) return;
    this.silent ??= URL.createObjectURL(silence());
    this.audio.src = this.silent;
    this.audio.play().catch(() => undefined);
  }

  toggle(): void {
    if (sounds(this.state)) this.audio.pause();
    else this.resume();
    if (this.state.phase === "loading") this.tell({ kind: "paused" });
  }

  pause(): void {
    this.audio.pause();
  }

  resume(): void {
    const source = this.source;
    if (!source) return;
    if (this.state.phase === "failed") {
      source.renewed = false;
      const at = this.state.positionS;
      this.tell({ kind: "opened", track: source.track, live: false });
      void this.load(at);
      return;
    }
    void this.sound();
  }

  seek(seconds: number): void {
    const source = this.source;
    if (!source) return;
    // What made room for the rest of a long stream is played from where it was stored.
    if (source.stream && !this.state.live && !this.within(seconds)) {
      this.settle(source);
      void this.load(seconds);
      return;
    }
    this.audio.currentTime = Math.min(Math.max(0, seconds), this.endS());
    this.moved();
  }

  setRate(rate: number): void {
    this.audio.playbackRate = rate;
    this.audio.defaultPlaybackRate = rate;
    this.tell({ kind: "rate", rate });
  }

  /** Where what is played can be kept from; null while it is not stored. */
  link(): Link | null {
    return this.source && this.state.kept ? this.source.link : null;
  }

  /** Puts the track away: this one, or whatever plays. */
  dismiss(key?: string): void {
    if (key !== undefined && this.source?.track.key !== key) return;
    this.leave();
    this.tell({ kind: "dismissed" });
  }

  private leave(): void {
    if (!this.source) return;
    this.signal("left");
    const before = this.source;
    this.source = null;
    if (this.ticking) clearInterval(this.ticking);
    this.ticking = null;
    this.audio.pause();
    this.audio.removeAttribute("src");
    this.audio.load();
    before.stream?.feed.close();
  }

  /** A stream that is over becomes what was stored of it. */
  private settle(source: Source): void {
    const stream = source.stream;
    if (!stream) return;
    this.signal("left");
    source.stream = null;
    stream.feed.close();
  }

  private async load(from: number): Promise<void> {
    const source = this.source;
    if (!source) return;
    try {
      const url = ownOrigin(await source.link());
      if (this.source !== source) return;
      this.audio.src = url;
      this.audio.playbackRate = this.state.rate;
      if (from > 0) this.audio.currentTime = from;
      await this.sound();
    } catch (error) {
      if (this.source === source) {
        this.tell({ kind: "failed", problem: sentenceOf(error, words.unavailable) });
      }
    }
  }

  private async sound(): Promise<void> {
    try {
      if (this.state.phase !== "playing") this.tell({ kind: "loading" });
      await this.audio.play();
    } catch (error) {
      // Before the person has done anything on this page, a browser plays nothing by itself.
      if (error instanceof DOMException && error.name === "NotAllowedError") this.tell({ kind: "paused" });
    }
  }

  /** Begins a stream when enough is there, once; a person who paused before that is not overruled. */
  private begin(all: boolean): void {
    const stream = this.source?.stream;
    if (!stream || stream.begun || !this.audio.src) return;
    if (!all && this.bufferedS() < AHEAD_S) return;
    stream.begun = true;
    if (this.state.phase !== "paused") void this.sound();
  }

  private became(phase: "playing" | "paused", signal: Signal): void {
    if (!this.source) return;
    this.signal(signal);
    this.tell({ kind: phase });
  }

  private dried(): void {
    if (!this.source) return;
    this.tell({ kind: "waiting" });
    if (!this.audio.seeking && this.bufferedS() - this.audio.currentTime < AHEAD_S) this.signal("dry");
  }

  private ended(): void {
    this.signal("ended");
    this.moved();
    this.tell({ kind: "ended" });
  }

  private async broke(): Promise<void> {
    const source = this.source;
    const error = this.audio.error;
    if (!source || !error) return;
    if (source.stream) {
      this.undecodable(error.message || `media error ${error.code}`);
      return;
    }
    // An expired link is refused, which looks like audio of no kind: ask for another one, once.
    if (!source.renewed) {
      source.renewed = true;
      await this.load(this.audio.currentTime || this.state.positionS);
      return;
    }
    const unplayable = error.code === MediaError.MEDIA_ERR_DECODE;
    this.tell({ kind: "failed", problem: unplayable ? words.undecodable : words.unavailable });
  }

  private undecodable(detail: string): void {
    this.signal("undecodable", detail);
    this.tell({ kind: "failed", problem: words.undecodable });
  }

  private signal(signal: Signal, detail?: string): void {
    const stream = this.source?.stream;
    if (!stream) return;
    const [after, seen] = listen(stream.listening, {
      signal,
      at: Date.now(),
      positionMs: this.audio.currentTime * 1000,
      ...(detail ? { detail } : {}),
    });
    stream.listening = after;
    this.post.add(stream.generationId, seen);
  }

  private moved(): void {
    const source = this.source;
    if (!source) return;
    if (source.stream) source.stream.feed.heardS = this.audio.currentTime;
    if (source.renewed && this.state.phase === "playing") source.renewed = false;
    this.tell({ kind: "moved", positionS: this.audio.currentTime, endS: this.endS() });
  }

  private endS(): number {
    const { duration } = this.audio;
    return Number.isFinite(duration) && duration > 0 ? duration : this.bufferedS();
  }

  private bufferedS(): number {
    const { buffered } = this.audio;
    return buffered.length > 0 ? buffered.end(buffered.length - 1) : 0;
  }

  private within(seconds: number): boolean {
    const { buffered } = this.audio;
    return buffered.length > 0 && seconds >= buffered.start(0) - 0.1;
  }

  private tell(event: PlayerEvent): void {
    const before = this.state;
    this.state = play(before, event);
    if (this.state !== before) for (const told of this.listeners) told();
  }
}
