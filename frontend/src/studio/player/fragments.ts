import { EncodedAudioPacketSource, EncodedPacket, Mp4OutputFormat, Output, StreamTarget } from "mediabunny";
import { type Bytes, joined } from "./bytes";
import { type Mp3Frame, Mp3Frames } from "./mp3-frames";

/**
 * Puts MP3 that comes in pieces into fragments of MP4, without touching the sound: Firefox plays MP3 while it
 * comes in that container only.
 */
export class Fragments {
  private readonly frames = new Mp3Frames();
  private readonly source = new EncodedAudioPacketSource("mp3");
  private readonly output: Output;
  private timeS = 0;
  private begun: Promise<void> | null = null;
  private readonly written: Bytes[] = [];

  constructor(private readonly give: (fragments: Bytes) => void) {
    const write = ({ data }: { data: Uint8Array }) => void this.written.push(data.slice());
    this.output = new Output({
      // A frame is a fragment: whatever waited for another one would be heard later.
      format: new Mp4OutputFormat({ fastStart: "fragmented", minimumFragmentDuration: 0 }),
      target: new StreamTarget(new WritableStream({ write })),
    });
    this.output.addAudioTrack(this.source);
  }

  /** Takes the next piece; one after another, each after the one before. */
  async push(piece: Bytes): Promise<void> {
    this.begun ??= this.output.start();
    await this.begun;
    for (const frame of this.frames.push(piece)) await this.add(frame);
    this.giveWritten();
  }

  /** Writes what is left. Rejects where there was no frame. */
  async finish(): Promise<void> {
    if (this.timeS === 0) throw new Error("no frame of MP3");
    await this.output.finalize();
    this.giveWritten();
  }

  /** In one piece: a buffer takes one piece at a time. */
  private giveWritten(): void {
    if (this.written.length > 0) this.give(joined(...this.written.splice(0)));
  }

  private async add({ bytes, sampleRate, channels, samples }: Mp3Frame): Promise<void> {
    const seconds = samples / sampleRate;
    const decoderConfig = { codec: "mp3", sampleRate, numberOfChannels: channels };
    await this.source.add(new EncodedPacket(bytes, "key", this.timeS, seconds), { decoderConfig });
    this.timeS += seconds;
  }
}
