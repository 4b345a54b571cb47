import { codePoints, duration } from "@/shared/format";

export interface Form {
  text: string;
  /** Characters that can be spoken at once now; null while that is not known. */
  limit: number | null;
  voice: "none" | "gone" | "loading" | "unspeakable" | "speakable";
  underWay: boolean;
  /** Seconds until it may be tried again. */
  waitS: number;
}

export type Hindrance = "under_way" | "wait" | "no_voice" | "unspeakable" | "no_text" | "too_long";

/** Why nothing can be spoken right now; null when it can. */
export function hindranceOf(form: Form): Hindrance | null {
  if (form.underWay) return "under_way";
  if (form.waitS > 0) return "wait";
  if (form.voice === "unspeakable") return "unspeakable";
  if (form.voice !== "speakable") return "no_voice";
  if (form.text.trim() === "") return "no_text";
  if (overBy(form.text, form.limit) > 0) return "too_long";
  return null;
}

/** Code points beyond the limit. */
export function overBy(text: string, limit: number | null): number {
  return limit === null ? 0 : Math.max(0, codePoints(text) - limit);
}

/** Whole seconds that are left. */
export function secondsUntil(at: number | null, now: number): number {
  return at === null ? 0 : Math.max(0, Math.ceil((at - now) / 1000));
}

/** A time without parts of seconds: 12 s, 3 min 05 s. */
export function wholeSeconds(ms: number): string {
  return duration(Math.max(1000, Math.round(ms / 1000) * 1000)).replace(".0 s", " s");
}
