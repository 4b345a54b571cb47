import { cutover as strings } from "@/strings/cutover";
import type { Schemas } from "../../api/client";

export type CutoverStatus = Schemas["CutoverStatus"];
export type Cutover = Schemas["CutoverPlan"];
export type Stage = Schemas["CutoverStage"];

export type Standing = "done" | "now" | "left" | "to come";

export interface Step {
  stage: Stage;
  number: number;
  standing: Standing;
  /** When it began, where that is known. */
  since: string | null;
}

/** Orders may be given to it: it is on, or its last stage is being put in force. */
export function isOn(cutover: Cutover | null): cutover is Cutover {
  return cutover !== null && ["running", "paused", "finishing"].includes(cutover.state);
}

/** Another one may be begun: none is on, and the last one's candidate does not serve everybody already. */
export function mayBegin({ cutover, mode }: CutoverStatus): boolean {
  if (cutover?.state === "complete") return mode?.value !== cutover.candidate;
  return !isOn(cutover);
}

/** The stages with where the cutover stands among them. `left`: it stood there when it ended without success. */
export function stepsOf({ cutover, stages, history }: CutoverStatus): Step[] {
  return stages.map((stage, at) => ({
    stage,
    number: at + 1,
    standing: standingOf(cutover, at),
    since: cutover === null ? null : beganAt(cutover, history, at),
  }));
}

function standingOf(cutover: Cutover | null, at: number): Standing {
  if (cutover === null || at > cutover.stage) return "to come";
  if (at < cutover.stage) return "done";
  if (cutover.state === "complete") return "done";
  return isOn(cutover) ? "now" : "left";
}

/** The oldest change of this cutover that was made in that stage; the row itself for the one that is on. */
function beganAt(cutover: Cutover, history: CutoverStatus["history"], at: number): string | null {
  if (at === cutover.stage) return cutover.stage_started_at;
  const inIt = history.filter((change) => change.seq === cutover.seq && change.stage === at);
  return inIt.map((change) => change.changed_at).sort()[0] ?? null;
}

export interface MoveLimits {
  spacing_s: number;
  moves: number;
  period_s: number;
}

/** The limits of moves away from known-good, from the policy as data; null where it does not say. */
export function moveLimitsOf(playbook: unknown): MoveLimits | null {
  const limits = within(within(playbook, "cutover"), "limits");
  const [spacing_s, moves, period_s] = ["spacing_s", "moves", "period_s"].map((name) => within(limits, name));
  if (typeof spacing_s !== "number" || typeof moves !== "number" || typeof period_s !== "number") return null;
  return { spacing_s, moves, period_s };
}

function within(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}

/** How many moves away may still be made in this time; none while they are frozen. */
export function movesLeft({ moves, frozen }: CutoverStatus["moves"], limits: MoveLimits, now: Date): number {
  if (frozen !== null) return 0;
  const from = now.getTime() - limits.period_s * 1000;
  const counted = moves.filter((move) => !move.forgiven && Date.parse(move.at) > from);
  return Math.max(0, limits.moves - counted.length);
}

/** A sentence of the guard as it reads best here: it begins large, and long times are minutes and hours. */
export function plainly(sentence: string): string {
  const text = sentence.replace(/\b(\d{3,})(?:\.\d+)? s\b/g, (_, seconds: string) =>
    strings.minutes(Number(seconds)),
  );
  return text.charAt(0).toUpperCase() + text.slice(1);
}
