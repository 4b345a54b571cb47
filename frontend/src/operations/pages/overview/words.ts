import { localTime } from "@/shared/format";
import { overview } from "@/strings/overview";
import type { Schemas } from "../../api/client";

export type Status = Schemas["Status"];
export type Incident = Schemas["Incident"];
export type IncidentDetail = Schemas["IncidentDetail"];

/** A provider as persons say it. */
export function provider(name: string | null | undefined): string {
  if (!name) return overview.sentence.somebody;
  return overview.providers[name] ?? name;
}

/** Who an actor of a record is. */
export function person(actor: string, inside = false): string {
  if (actor === "guard") return inside ? overview.sentence.theGuardInside : overview.sentence.theGuard;
  return actor.replace(/^person:/, "");
}

export function family(trigger: string): string {
  return overview.families[trigger] ?? trigger.replaceAll("_", " ");
}

export function atTime(iso: string): string {
  return localTime(new Date(iso), "time");
}

/** Seconds as a window is said: 60 s, 30 min. */
export function span(seconds: number): string {
  return seconds < 120 ? `${seconds} s` : `${Math.round(seconds / 60)} min`;
}

/** A sentence ends once: the records of others may, or may not, end theirs. */
export function withoutStop(text: string): string {
  return text.trim().replace(/[.\s]+$/, "");
}

export function withStop(text: string): string {
  const trimmed = text.trim();
  return trimmed === "" || /[.!?”]$/.test(trimmed) ? trimmed : `${trimmed}.`;
}

/** What a check says, as a sentence. */
export function asSentence(text: string): string {
  const trimmed = text.trim();
  return withStop(trimmed.charAt(0).toUpperCase() + trimmed.slice(1));
}

/** A rate that never rounds up to all: 9,999 of 10,000 is not 100 %. */
export function rate(total: number, failed: number): string {
  const share = total === 0 ? 1 : (total - failed) / total;
  const tenths = Math.floor(share * 1000 + 1e-9) / 10;
  return `${failed === 0 ? 100 : Math.min(tenths, 99.9)} %`;
}
