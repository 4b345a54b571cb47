/** What a recording is like, of its samples alone (-1 to 1, one channel). */
export interface Measured {
  durationS: number;
  /** Root mean square of the whole, 0 to 1. */
  loudness: number;
  /** Of the parts where somebody speaks; 0 without any. */
  speechLoudness: number;
  /** Seconds in which somebody speaks, short pauses included. */
  speechS: number;
  /** Share of the samples that lie in flat tops. */
  clipped: number;
}

const FRAME_S = 0.02;
/** -50 dBFS: below it nothing is speech. */
const QUIETEST = 0.003;
/** Speech stands out from what is always there by so much. */
const ABOVE_NOISE = 3;
/** Between two words, not between two sentences. */
const PAUSE_S = 0.4;
const TOP = 0.99;
/** One sample at the top is a peak, several in a row are a top that was cut off. */
const FLAT_SAMPLES = 3;

export function measure(samples: Float32Array, rate: number): Measured {
  const frames = frameLoudness(samples, Math.max(1, Math.round(rate * FRAME_S)));
  const { speechS, speechLoudness } = speechIn(frames);
  return {
    durationS: samples.length / rate,
    loudness: rootMeanSquare(samples, 0, samples.length),
    speechS,
    speechLoudness,
    clipped: samples.length === 0 ? 0 : flatSamples(samples) / samples.length,
  };
}

function rootMeanSquare(samples: Float32Array, from: number, until: number): number {
  if (until <= from) return 0;
  let sum = 0;
  for (let at = from; at < until; at += 1) {
    const value = samples[at] ?? 0;
    sum += value * value;
  }
  return Math.sqrt(sum / (until - from));
}

function frameLoudness(samples: Float32Array, size: number): number[] {
  const frames: number[] = [];
  for (let at = 0; at + size <= samples.length; at += size) {
    frames.push(rootMeanSquare(samples, at, at + size));
  }
  return frames;
}

function speechIn(frames: readonly number[]): { speechS: number; speechLoudness: number } {
  const sorted = [...frames].sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.floor((sorted.length - 1) * share)] ?? 0;
  // Someone who never pauses has no noise to measure: their own quiet frames must not count as such.
  const noise = Math.min(at(0.1), at(0.95) / 10);
  const threshold = Math.max(QUIETEST, noise * ABOVE_NOISE);
  const bridged = Math.round(PAUSE_S / FRAME_S);
  let spoken = 0;
  let energy = 0;
  let loud = 0;
  let quiet = Number.POSITIVE_INFINITY;
  for (const frame of frames) {
    if (frame < threshold) {
      quiet += 1;
      continue;
    }
    loud += 1;
    energy += frame * frame;
    spoken += 1 + (quiet <= bridged ? quiet : 0);
    quiet = 0;
  }
  return { speechS: spoken * FRAME_S, speechLoudness: loud === 0 ? 0 : Math.sqrt(energy / loud) };
}

function flatSamples(samples: Float32Array): number {
  let flat = 0;
  let run = 0;
  for (const value of samples) {
    if (Math.abs(value) >= TOP) {
      run += 1;
      if (run === FLAT_SAMPLES) flat += FLAT_SAMPLES;
      else if (run > FLAT_SAMPLES) flat += 1;
    } else {
      run = 0;
    }
  }
  return flat;
}

/** The highest value of each of `count` stretches: what a waveform is drawn from. */
export function peaksOf(samples: Float32Array, count: number): Float32Array {
  const peaks = new Float32Array(count);
  const step = samples.length / count;
  for (let each = 0; each < count; each += 1) {
    let most = 0;
    for (let at = Math.floor(each * step); at < Math.floor((each + 1) * step); at += 1) {
      const value = Math.abs(samples[at] ?? 0);
      if (value > most) most = value;
    }
    peaks[each] = most;
  }
  return peaks;
}
