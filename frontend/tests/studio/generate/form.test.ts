import { describe, expect, test } from "vitest";
import { shareOf, usualSeconds } from "@/studio/pages/generate/estimate";
import { prefillOf } from "@/studio/pages/generate/prefill";
import {
  type Form,
  hindranceOf,
  overBy,
  secondsUntil,
  wholeSeconds,
} from "@/studio/pages/generate/readiness";

const READY: Form = { text: "Hello", limit: 2000, voice: "speakable", underWay: false, waitS: 0 };

describe("what stands in the way of speaking", () => {
  test.each<[Partial<Form>, ReturnType<typeof hindranceOf>]>([
    [{}, null],
    [{ limit: null }, null],
    [{ text: " \n" }, "no_text"],
    [{ text: "x".repeat(2000) }, null],
    [{ text: "x".repeat(2001) }, "too_long"],
    [{ text: "x".repeat(2001), limit: 10_000 }, null],
    [{ voice: "none" }, "no_voice"],
    [{ voice: "gone" }, "no_voice"],
    [{ voice: "loading" }, "no_voice"],
    [{ voice: "unspeakable" }, "unspeakable"],
    [{ waitS: 1 }, "wait"],
    [{ underWay: true, waitS: 1, text: "" }, "under_way"],
  ])("%j: %s", (change, hindrance) => {
    expect(hindranceOf({ ...READY, ...change })).toBe(hindrance);
  });

  test("characters are counted as the service counts them: one of the astral planes is one", () => {
    expect(overBy("😀".repeat(2000), 2000)).toBe(0);
    expect(overBy("😀".repeat(2003), 2000)).toBe(3);
  });

  test("a countdown ends at nothing, and never says a second less than is left", () => {
    expect(secondsUntil(10_000, 7999)).toBe(3);
    expect(secondsUntil(10_000, 8000)).toBe(2);
    expect(secondsUntil(10_000, 12_000)).toBe(0);
    expect(secondsUntil(null, 5)).toBe(0);
    expect(wholeSeconds(59_400)).toBe("59 s");
    expect(wholeSeconds(185_000)).toBe("3 min 05 s");
  });
});

describe("what an address asks for", () => {
  test("nothing", () => {
    expect(prefillOf("", null)).toBeNull();
    expect(prefillOf("?other=1", { key: "default" })).toBeNull();
  });

  test("voice, text and language", () => {
    expect(prefillOf("?voice_id=v&text=Hello%20you&language=German", null)).toEqual({
      voiceId: "v",
      text: "Hello you",
      language: "German",
      generationId: null,
    });
  });

  test("a speech again, with the text that History hands over, or to be asked for", () => {
    expect(prefillOf("?voice_id=&language=Auto&generation_id=g", { text: "Carried" })).toEqual({
      voiceId: null,
      text: "Carried",
      language: "Auto",
      generationId: "g",
    });
    expect(prefillOf("?generation_id=g", null)?.text).toBeNull();
  });
});

describe("how long it takes", () => {
  const made = (seconds: number | null, text: string, provider = "modal") => ({
    status: "completed" as const,
    text,
    generation_time_seconds: seconds,
    tts_provider: provider,
    created_at: "2026-11-29T12:00:00Z",
  });

  test("is the usual pace of this provider", () => {
    const before = [
      made(2, "x".repeat(10)),
      made(4, "x".repeat(10)),
      made(30, "x".repeat(10)),
      made(9, "x", "qwen"),
    ];
    expect(usualSeconds("x".repeat(100), "modal", before)).toBe(40);
  });

  test("is not guessed from nothing, nor from one", () => {
    expect(usualSeconds("x", "modal", [])).toBeNull();
    expect(usualSeconds("x", "modal", [made(2, "x"), made(null, "x"), made(3, "x", "qwen")])).toBeNull();
  });

  test("never looks finished before it is", () => {
    expect(shareOf(5, 10)).toBe(0.5);
    expect(shareOf(50, 10)).toBe(0.95);
    expect(shareOf(5, null)).toBeNull();
  });
});
