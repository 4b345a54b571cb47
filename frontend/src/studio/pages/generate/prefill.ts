/** What the address asks to be spoken: of a link, or of a speech that is to be made again. */
export interface Prefill {
  voiceId: string | null;
  text: string | null;
  language: string | null;
  /** Its text is asked for, unless it came along. */
  generationId: string | null;
}

/** Reads the address; null when it asks for nothing. `carried` is the text that a page of ours hands over. */
export function prefillOf(search: string, carried: unknown): Prefill | null {
  const given = new URLSearchParams(search);
  const of = (name: string) => given.get(name) || null;
  const text = typeof carried === "object" && carried !== null && "text" in carried ? carried.text : null;
  const prefill = {
    voiceId: of("voice_id"),
    text: typeof text === "string" ? text : of("text"),
    language: of("language"),
    generationId: of("generation_id"),
  };
  return Object.values(prefill).some((value) => value !== null) ? prefill : null;
}
