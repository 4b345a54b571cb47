import { codePoints } from "@/shared/format";
import type { Schemas } from "../../api/client";

type Made = Pick<
  Schemas["Generation"],
  "status" | "text" | "generation_time_seconds" | "tts_provider" | "created_at"
>;

const LEAST = 2;
const LOOKED_AT = 12;

/** Seconds that a text usually takes with this provider, by what was made lately; null when nothing tells. */
export function usualSeconds(text: string, provider: string | null, made: readonly Made[]): number | null {
  const paces = made
    .filter((one) => one.status === "completed" && one.tts_provider === provider)
    .filter((one) => (one.generation_time_seconds ?? 0) > 0 && one.text.length > 0)
    .slice(0, LOOKED_AT)
    .map((one) => (one.generation_time_seconds ?? 0) / codePoints(one.text))
    .sort((a, b) => a - b);
  const middle = paces[Math.floor(paces.length / 2)];
  return paces.length < LEAST || middle === undefined ? null : Math.max(1, middle * codePoints(text));
}

/** Share of the way, never all of it: the end is told by the service only. */
export function shareOf(elapsedS: number, usualS: number | null): number | null {
  return usualS === null ? null : Math.min(0.95, elapsedS / usualS);
}
