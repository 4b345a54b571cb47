import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type Check, checksOf, lettersOf, sendable } from "@/studio/pages/clone/checks";
import { measure, peaksOf } from "@/studio/pages/clone/measuring";

const RATE = 24_000;
const SAMPLES = join(import.meta.dirname, "../../../../src/understudy/samples");
const SAID =
  "and mister john dashwood had then leisure to consider how much there might be prudently in his power to do for them";

/** A recording of the product's own: 16 kHz, 16 bit, one channel. */
function austen(name: string): Float32Array {
  const file = readFileSync(join(SAMPLES, name));
  const samples = new Float32Array((file.length - 44) / 2);
  for (let at = 0; at < samples.length; at += 1) samples[at] = file.readInt16LE(44 + at * 2) / 32_768;
  return samples;
}

function tone(seconds: number, loudness: number): Float32Array {
  return Float32Array.from(
    { length: seconds * RATE },
    (_, at) =>
      loudness * Math.sin((2 * Math.PI * 220 * at) / RATE) * Math.sin((2 * Math.PI * 1.5 * at) / RATE),
  );
}

function looked(samples: Float32Array, transcript = "", rate = RATE, size = 1000): Record<string, Check> {
  const checks = checksOf({
    measured: measure(samples, rate),
    size,
    mostBytes: 10 * 1024 * 1024,
    transcript,
  });
  return Object.fromEntries(checks.map((check) => [check.key, check]));
}

test.each([
  ["austen-0870.wav", SAID],
  ["austen-0890.wav", "unless to be rather cold hearted and rather selfish is to be ill disposed"],
  [
    "austen-0920.wav",
    "had he married a more a amiable woman he might have been made still more respectable than he was",
  ],
])("a good recording has nothing against it: %s", (name, said) => {
  const checks = looked(austen(name), said, 16_000);
  expect(Object.values(checks).map((check) => [check.key, check.verdict])).toEqual(
    ["length", "size", "sound", "level", "clipping", "transcript"].map((key) => [key, "good"]),
  );
});

test("speech is told from the pauses around it", () => {
  const speech = austen("austen-0870.wav");
  const padded = new Float32Array(speech.length + 10 * 16_000);
  padded.set(speech, 5 * 16_000);
  const { speechS, durationS } = measure(padded, 16_000);
  expect(durationS).toBeCloseTo(17.1, 1);
  expect(speechS).toBeGreaterThan(5);
  expect(speechS).toBeLessThan(7.5);
});

test("a text of another recording is noticed, longer or shorter", () => {
  expect(looked(austen("austen-0870.wav"), SAID.repeat(3), 16_000).transcript?.verdict).toBe("warn");
  expect(looked(austen("austen-0870.wav"), "and mister john", 16_000).transcript?.verdict).toBe("warn");
});

test("without a text nothing is said about it", () => {
  expect(looked(austen("austen-0870.wav"), " ", 16_000).transcript).toBeUndefined();
});

test("silence is not sent, and nothing else is said about it", () => {
  const checks = looked(new Float32Array(5 * RATE));
  expect(checks.sound?.verdict).toBe("bad");
  expect(checks.level).toBeUndefined();
  expect(sendable(Object.values(checks))).toBe(false);
});

test("what is quiet, overdriven or short is sent with a warning", () => {
  expect(looked(tone(5, 0.008)).level?.verdict).toBe("warn");
  const loud = tone(5, 3).map((value) => Math.max(-1, Math.min(1, value)));
  expect(looked(loud).clipping?.verdict).toBe("warn");
  const short = looked(tone(2, 0.3));
  expect(short.length?.verdict).toBe("warn");
  expect(sendable(Object.values(short))).toBe(true);
});

test("a loud recording that only touches the top is not called overdriven; one beyond it is", () => {
  const speech = austen("austen-0870.wav");
  const peak = speech.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const amplified = (factor: number) =>
    speech.map((value) => Math.max(-1, Math.min(1, (factor * value) / peak)));
  expect(looked(amplified(1), "", 16_000).clipping?.verdict).toBe("good");
  expect(looked(amplified(3), "", 16_000).clipping?.verdict).toBe("warn");
});

test("what the service would refuse is not sent", () => {
  expect(looked(tone(181, 0.3)).length?.verdict).toBe("bad");
  expect(looked(tone(5, 0.3), "", RATE, 11 * 1024 * 1024).size?.verdict).toBe("bad");
});

test("a text in Chinese or Japanese is as long as it is to speak", () => {
  expect(lettersOf("Hello, Ada!")).toBe(8);
  expect(lettersOf("你好")).toBe(6);
  expect(lettersOf("こんにちは。")).toBe(15);
});

test("a waveform has the peak of each stretch", () => {
  expect([...peaksOf(Float32Array.from([0.1, -0.5, 0.2, 0.3]), 2)]).toEqual([
    expect.closeTo(0.5),
    expect.closeTo(0.3),
  ]);
});
