import type { Bytes } from "@/studio/player/bytes";

/** MPEG 2, layer III, 24 kHz, mono, 64 kbit/s: 24 ms in 192 bytes, of no sound worth hearing. */
export const FRAME_BYTES = 192;
export const FRAME_S = 0.024;

export function frameOfMp3(content: number): Bytes {
  const bytes = new Uint8Array(FRAME_BYTES).fill(content);
  bytes.set([0xff, 0xf3, 0x84, 0xc4]);
  return bytes;
}

/** The first frame of a file, where an encoder writes how long it is. */
export function noteOfMp3(): Bytes {
  const bytes = frameOfMp3(0);
  bytes.set(new TextEncoder().encode("Info"), 4 + 9);
  return bytes;
}

export function tagOfMp3(length: number): Bytes {
  const bytes = new Uint8Array(10 + length).fill(0xff);
  bytes.set([0x49, 0x44, 0x33, 4, 0, 0, 0, 0, length >> 7, length & 127]);
  return bytes;
}
