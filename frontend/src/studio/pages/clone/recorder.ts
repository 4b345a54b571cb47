import { LONGEST_S } from "./formats";

/** As the browser can write; it is decoded here and sent as WAV. */
const TYPES = ["audio/webm;codecs=opus", "audio/mp4", "audio/ogg;codecs=opus"];
/** More than an ear needs: it is encoded once, and for a machine. */
const BITS_PER_SECOND = 256_000;
/** Chunks come this often, so that little is lost with a microphone that goes. */
const CHUNK_MS = 500;

export interface Recorded {
  blob: Blob;
  /** Why it ended without anybody pressing stop. */
  because: "asked" | "longest" | "unplugged";
}

/** One recording from the microphone: encoded by the browser, off the page's thread. */
export class Recorder {
  /** Of {@link performance.now}. */
  readonly startedAt = performance.now();
  private readonly chunks: Blob[] = [];
  private because: Recorded["because"] = "asked";
  private readonly longest: ReturnType<typeof setTimeout>;
  private readonly samples: Float32Array<ArrayBuffer>;

  private constructor(
    private readonly stream: MediaStream,
    private readonly media: MediaRecorder,
    private readonly context: AudioContext,
    private readonly analyser: AnalyserNode,
    ended: (recorded: Recorded) => void,
  ) {
    this.samples = new Float32Array(analyser.fftSize);
    media.addEventListener("dataavailable", (event) => {
      if (event.data.size > 0) this.chunks.push(event.data);
    });
    media.addEventListener("stop", () => {
      this.close();
      ended({ blob: new Blob(this.chunks, { type: media.mimeType }), because: this.because });
    });
    for (const track of stream.getAudioTracks()) {
      track.addEventListener("ended", () => this.stop("unplugged"));
    }
    this.longest = setTimeout(() => this.stop("longest"), LONGEST_S * 1000);
    media.start(CHUNK_MS);
  }

  /** Asks for the microphone and records at once; what the browser refuses is thrown as it names it. */
  static async start(ended: (recorded: Recorded) => void): Promise<Recorder> {
    if (!window.isSecureContext) throw new DOMException("", "InsecureContextError");
    if (!navigator.mediaDevices?.getUserMedia || typeof MediaRecorder === "undefined") {
      throw new DOMException("", "NotSupportedError");
    }
    const stream = await navigator.mediaDevices.getUserMedia({
      // What makes a call clear takes from a voice what makes it someone's.
      audio: { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: true },
    });
    try {
      const type = TYPES.find((one) => MediaRecorder.isTypeSupported(one));
      const media = new MediaRecorder(stream, {
        audioBitsPerSecond: BITS_PER_SECOND,
        ...(type ? { mimeType: type } : {}),
      });
      const context = new AudioContext();
      const analyser = context.createAnalyser();
      analyser.fftSize = 1024;
      context.createMediaStreamSource(stream).connect(analyser);
      return new Recorder(stream, media, context, analyser, ended);
    } catch (error) {
      for (const track of stream.getTracks()) track.stop();
      throw error;
    }
  }

  /** Firefox without a loudspeaker records, but has nothing that could measure. */
  get measures(): boolean {
    return this.context.state === "running";
  }

  /** How loud it is now, 0 to 1 in steps that an ear would call even: 0 is -60 dBFS. */
  level(): number {
    this.analyser.getFloatTimeDomainData(this.samples);
    let most = 0;
    for (const value of this.samples) most = Math.max(most, Math.abs(value));
    return most === 0 ? 0 : Math.max(0, Math.min(1, 1 + (20 * Math.log10(most)) / 60));
  }

  stop(because: Recorded["because"] = "asked"): void {
    if (this.media.state === "inactive") return;
    this.because = because;
    this.media.stop();
  }

  private close(): void {
    clearTimeout(this.longest);
    for (const track of this.stream.getTracks()) track.stop();
    void this.context.close().catch(() => undefined);
  }
}
