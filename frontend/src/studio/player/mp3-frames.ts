import { type Bytes, joined } from "./bytes";

/** One frame of MP3: the smallest piece that a decoder takes. */
export interface Mp3Frame {
  bytes: Bytes;
  sampleRate: number;
  channels: 1 | 2;
  samples: number;
}

/** Bits per second, in thousands, by the header's index: ISO/IEC 11172-3 and 13818-3, layer III. */
const KBPS = {
  1: [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
  2: [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
} as const;
const HERTZ = [44_100, 48_000, 32_000] as const;
/** What the sample rate is divided by, by the header's two bits of version: 2.5, reserved, 2, 1. */
const DIVISOR = [4, 0, 2, 1] as const;
const HEADER_BYTES = 4;
const TAG_BYTES = 10;

interface Header {
  length: number;
  sampleRate: number;
  channels: 1 | 2;
  samples: number;
  /** Where an encoder's note on the whole file stands, in its first frame, which holds no sound. */
  noteAt: number;
}

function headerOf(bytes: Uint8Array, at: number): Header | null {
  const [sync = 0, kind = 0, rates = 0, mode = 0] = bytes.subarray(at, at + HEADER_BYTES);
  const divisor = DIVISOR[(kind >> 3) & 3];
  // Eleven bits of ones, then layer III.
  if (sync !== 0xff || (kind & 0xe6) !== 0xe2 || !divisor) return null;
  const hertz = HERTZ[(rates >> 2) & 3];
  const kbps = KBPS[divisor === 1 ? 1 : 2][rates >> 4];
  if (!hertz || !kbps) return null;
  const sampleRate = hertz / divisor;
  const samples = divisor === 1 ? 1152 : 576;
  const channels = mode >> 6 === 3 ? 1 : 2;
  const sideBytes = divisor === 1 ? (channels === 1 ? 17 : 32) : channels === 1 ? 9 : 17;
  const length = Math.floor(((samples / 8) * kbps * 1000) / sampleRate) + ((rates >> 1) & 1);
  return { length, sampleRate, channels, samples, noteAt: HEADER_BYTES + sideBytes };
}

const ascii = (bytes: Uint8Array, at: number, length: number) =>
  String.fromCharCode(...bytes.subarray(at, at + length));

/** Cuts MP3 that comes in pieces into frames; what is no frame (tags, notes, noise) is left out. */
export class Mp3Frames {
  private rest: Bytes = new Uint8Array(0);
  /** Bytes of a tag that are still to come. */
  private skip = 0;

  /** Answers the frames that are whole by now. */
  push(piece: Bytes): Mp3Frame[] {
    const bytes = joined(this.rest, piece);
    const frames: Mp3Frame[] = [];
    let at = Math.min(this.skip, bytes.length);
    this.skip -= at;
    while (bytes.length - at >= TAG_BYTES) {
      if (ascii(bytes, at, 3) === "ID3") {
        const end =
          at + TAG_BYTES + bytes.subarray(at + 6, at + 10).reduce((sum, byte) => sum * 128 + byte, 0);
        this.skip = Math.max(0, end - bytes.length);
        at = Math.min(end, bytes.length);
        continue;
      }
      const header = headerOf(bytes, at);
      if (!header) {
        at += 1;
        continue;
      }
      const end = at + header.length;
      if (end > bytes.length) break;
      const { length: _, noteAt, ...frame } = header;
      if (!["Xing", "Info"].includes(ascii(bytes, at + noteAt, 4))) {
        frames.push({ ...frame, bytes: bytes.slice(at, end) });
      }
      at = end;
    }
    this.rest = bytes.slice(at);
    return frames;
  }
}
