import { bytes } from "@/shared/format";
import { clone as words } from "@/strings/clone";
import { LONGEST_S } from "./formats";
import type { Measured } from "./measuring";

/** `bad` would be refused; `warn` makes a worse voice. */
export type Verdict = "good" | "warn" | "bad";

export interface Check {
  key: "size" | "length" | "sound" | "level" | "clipping" | "transcript";
  verdict: Verdict;
  sentence: string;
}

export interface Subject {
  measured: Measured;
  /** Bytes that would be sent. */
  size: number;
  mostBytes: number;
  transcript: string;
}

const SHORTEST_S = 3;
/** -60 dBFS, as the service has it (SILENCE_RMS, audio/wav.py). */
const SILENT = 0.001;
/** -40 dBFS where somebody speaks. */
const QUIET = 0.01;
/** One sample in a thousand: heard as a crackle. */
const CLIPPED = 0.001;
/** Letters a second that people speak, from a slow reading to an auctioneer. */
const SLOWEST = 5;
const FASTEST = 27;
/** A character of these says about as much as three letters. */
const DENSE = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}]/u;
const DENSE_LETTERS = 3;

export function checksOf(subject: Subject): Check[] {
  const { measured } = subject;
  const checks = [lengthCheck(measured.durationS), sizeCheck(subject), soundCheck(measured)];
  // Of silence there is nothing more to say.
  if (checks[2]?.verdict === "bad") return checks;
  return [...checks, levelCheck(measured), clippingCheck(measured), transcriptCheck(subject)].filter(
    (check) => check !== null,
  );
}

export function sendable(checks: readonly Check[]): boolean {
  return checks.every((check) => check.verdict !== "bad");
}

function lengthCheck(seconds: number): Check {
  const key = "length";
  const said = words.seconds(seconds);
  if (seconds > LONGEST_S) return { key, verdict: "bad", sentence: words.checks.tooLong(said, LONGEST_S) };
  if (seconds < SHORTEST_S) return { key, verdict: "warn", sentence: words.checks.short(said) };
  return { key, verdict: "good", sentence: words.checks.length(said) };
}

function sizeCheck({ size, mostBytes }: Subject): Check {
  return size > mostBytes
    ? { key: "size", verdict: "bad", sentence: words.checks.tooLarge(bytes(size), bytes(mostBytes)) }
    : { key: "size", verdict: "good", sentence: words.checks.size(bytes(size)) };
}

function soundCheck({ loudness, speechS }: Measured): Check {
  const key = "sound";
  if (loudness < SILENT) return { key, verdict: "bad", sentence: words.checks.silent };
  if (speechS < 0.3) return { key, verdict: "warn", sentence: words.checks.noSpeech };
  return { key, verdict: "good", sentence: words.checks.speech(words.seconds(speechS)) };
}

function levelCheck({ speechLoudness }: Measured): Check {
  return speechLoudness < QUIET
    ? { key: "level", verdict: "warn", sentence: words.checks.quiet }
    : { key: "level", verdict: "good", sentence: words.checks.level };
}

function clippingCheck({ clipped }: Measured): Check {
  return clipped > CLIPPED
    ? { key: "clipping", verdict: "warn", sentence: words.checks.clipped }
    : { key: "clipping", verdict: "good", sentence: words.checks.clean };
}

/** How long a text is to speak, in letters of an alphabet; spaces and marks are silent. */
export function lettersOf(text: string): number {
  let letters = 0;
  for (const character of text) {
    if (DENSE.test(character)) letters += DENSE_LETTERS;
    else if (/[\p{L}\p{N}]/u.test(character)) letters += 1;
  }
  return letters;
}

function transcriptCheck({ measured, transcript }: Subject): Check | null {
  const letters = lettersOf(transcript);
  if (letters === 0 || measured.speechS < 1) return null;
  const pace = letters / measured.speechS;
  const key = "transcript";
  if (pace > FASTEST) return { key, verdict: "warn", sentence: words.checks.moreWritten };
  if (pace < SLOWEST) return { key, verdict: "warn", sentence: words.checks.moreSpoken };
  return { key, verdict: "good", sentence: words.checks.transcript };
}
