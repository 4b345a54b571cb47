import { acceptedType } from "./formats";
import { encodeWav, mixDown, RATE, wavBytes } from "./wav";

/** A part of a recording, in seconds. */
export interface Part {
  from: number;
  until: number;
}

/** What somebody recorded or chose, and its sound. */
export interface Recording {
  blob: Blob;
  name: string;
  samples: Float32Array;
  durationS: number;
}

export class UndecodableError extends Error {
  override readonly name = "UndecodableError";
}

/** Decodes what the browser can play to one channel at {@link RATE}. */
export async function decode(blob: Blob, name: string): Promise<Recording> {
  const data = await blob.arrayBuffer();
  let buffer: AudioBuffer;
  try {
    buffer = await new OfflineAudioContext(1, 1, RATE).decodeAudioData(data);
  } catch {
    throw new UndecodableError();
  }
  if (buffer.length === 0) throw new UndecodableError();
  const channels = Array.from({ length: buffer.numberOfChannels }, (_, each) => buffer.getChannelData(each));
  return { blob, name, samples: mixDown(channels), durationS: buffer.duration };
}

export function samplesOf({ samples }: Recording, { from, until }: Part): Float32Array {
  return samples.subarray(Math.round(from * RATE), Math.round(until * RATE));
}

export function isWhole({ durationS }: Recording, { from, until }: Part): boolean {
  return from <= 0.005 && until >= durationS - 0.005;
}

/** Whether the file goes as it is. */
function asItIs(recording: Recording, part: Part, mostBytes: number): string | null {
  if (!isWhole(recording, part) || recording.blob.size > mostBytes) return null;
  return acceptedType(recording.blob.type, recording.name);
}

export function bytesToSend(recording: Recording, part: Part, mostBytes: number): number {
  if (asItIs(recording, part, mostBytes) !== null) return recording.blob.size;
  return wavBytes(part.until - part.from);
}

/** What is uploaded: the file as it came where the service takes it, else the chosen part as WAV. */
export function toSend(recording: Recording, part: Part, mostBytes: number): Blob {
  const type = asItIs(recording, part, mostBytes);
  return type === null
    ? encodeWav(samplesOf(recording, part))
    : recording.blob.slice(0, recording.blob.size, type);
}
