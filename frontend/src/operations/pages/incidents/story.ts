import { incidents as strings } from "@/strings/incidents";
import { operations } from "@/strings/operations";
import type { Schemas } from "../../api/client";

/** `evidence_sha256` is there where the step's evidence has a digest of its own. */
export type Line = Schemas["TimelineLine"] & { evidence_sha256?: string | null };
export type Entry = Schemas["JournalEntry"];

export type Filter = "all" | "decisions" | "steps" | "people";
export const FILTERS: readonly Filter[] = ["all", "decisions", "steps", "people"];

export interface StoryLine extends Line {
  /** The same for a step that is to come, runs and has ended, so that a line stays where it is. */
  id: string;
}

const STEPS = new Set(["intent", "outcome", "step"]);
const DECISIONS = new Set([
  "opened",
  "joined",
  "state",
  "begun",
  "plan",
  "approval",
  "escalated",
  "held",
  "page",
  "alarm",
  "alarm_over",
  "abort",
  "hold",
  "resume",
]);

/** Gives every line its identity. */
export function storyOf(lines: readonly Line[]): StoryLine[] {
  const seen = new Map<string, number>();
  return lines.map((line) => {
    const name = nameOf(line);
    if (name === null) return { ...line, id: `entry ${line.seq}` };
    const times = (seen.get(name) ?? 0) + 1;
    seen.set(name, times);
    return { ...line, id: `${name} ${times}` };
  });
}

function nameOf(line: Line): string | null {
  if (line.step !== null && STEPS.has(line.kind)) return `step ${line.action ?? ""} ${line.step}`;
  if (line.kind === "state") return `state ${line.word}`;
  return null;
}

export function isShown(line: Line, filter: Filter): boolean {
  switch (filter) {
    case "all":
      return true;
    case "steps":
      return STEPS.has(line.kind);
    case "decisions":
      return DECISIONS.has(line.kind);
    case "people":
      return line.actor?.startsWith("person:") ?? false;
  }
}

/** Lines that are new or have moved on since `before`, for those who listen; never what is still to come. */
export function news(before: readonly StoryLine[], after: readonly StoryLine[]): StoryLine[] {
  const states = new Map(before.map((line) => [line.id, line.state]));
  return after.filter((line) => line.state !== "to come" && states.get(line.id) !== line.state);
}

/** The entry in which a step was begun: what it set out to do, and within which time. */
export function intentOf(line: Line, journal: readonly Entry[]): Entry | null {
  if (line.step === null || line.seq === null) return null;
  if (line.kind === "intent") return journal.find((entry) => entry.seq === line.seq) ?? null;
  const seq = line.seq;
  const own = journal.find((entry) => entry.seq === seq);
  return (
    journal.findLast(
      (entry) =>
        entry.kind === "intent" &&
        entry.seq < seq &&
        entry.step === line.step &&
        entry.body.key === own?.body.key,
    ) ?? null
  );
}

/** Seconds that the step under way may take; null where the journal does not say. */
export function timeBoxOf(intent: Entry | null): number | null {
  const box = intent?.body.time_box_s;
  return typeof box === "number" ? box : null;
}

/** Who it was, without the prefix that tells persons from machines. */
export function personOf(actor: string): string {
  return actor.replace(/^person:/, "");
}

/** What each step of an action is for, in the words of the lines that are still to come. */
export function wordsOf(action: string, lines: readonly Line[]): ReadonlyMap<string, string> {
  const coming = lines.filter((line) => line.state === "to come" && line.action === action);
  return new Map(coming.flatMap((line) => (line.step === null ? [] : [[line.step, line.text]])));
}

/** A word for what the line is: its state for a step, the state moved to, else the kind of entry. */
export function wordOf(line: Line): string {
  if (line.kind === "state") {
    return line.word in operations.states
      ? operations.states[line.word as keyof typeof operations.states]
      : line.word;
  }
  if (line.step !== null) return `${line.step.replaceAll("_", " ")}, ${strings.story.states[line.state]}`;
  if (line.kind === "approval" && line.evidence?.break_glass === true) return strings.story.glass;
  return strings.story.kinds[line.kind] ?? line.word;
}
