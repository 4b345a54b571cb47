/** What every provider gets in the end: 16 bit, one channel, 24 kHz. */
export const RATE = 24_000;
const HEADER_BYTES = 44;

/** A complete WAV file of samples between -1 and 1. */
export function encodeWav(samples: Float32Array, rate = RATE): Blob {
  const bytes = samples.length * 2;
  const view = new DataView(new ArrayBuffer(HEADER_BYTES + bytes));
  const write = (at: number, text: string) => {
    for (let each = 0; each < text.length; each += 1) view.setUint8(at + each, text.charCodeAt(each));
  };
  write(0, "RIFF");
  view.setUint32(4, HEADER_BYTES - 8 + bytes, true);
  write(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, rate * 2, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  write(36, "data");
  view.setUint32(40, bytes, true);
  for (let at = 0; at < samples.length; at += 1) {
    const value = Math.round((samples[at] ?? 0) * 32_768);
    view.setInt16(HEADER_BYTES + at * 2, Math.max(-32_768, Math.min(32_767, value)), true);
  }
  return new Blob([view.buffer], { type: "audio/wav" });
}

export function wavBytes(seconds: number): number {
  return HEADER_BYTES + Math.round(seconds * RATE) * 2;
}

/** The channels' mean. */
export function mixDown(channels: readonly Float32Array[]): Float32Array {
  const [first = new Float32Array(), ...others] = channels;
  if (others.length === 0) return first;
  const mixed = new Float32Array(first.length);
  for (let at = 0; at < mixed.length; at += 1) {
    let sum = first[at] ?? 0;
    for (const channel of others) sum += channel[at] ?? 0;
    mixed[at] = sum / channels.length;
  }
  return mixed;
}
