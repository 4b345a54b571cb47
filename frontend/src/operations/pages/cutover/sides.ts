import { count, duration, money, percent } from "@/shared/format";
import { cutover as strings } from "@/strings/cutover";
import type { Schemas } from "../../api/client";
import type { Verdict } from "../../parts/badges";

export type Judgement = Schemas["Judgement"];
export type Guardrail = Schemas["Guardrail"];
export type Side = Schemas["SideTotals"];

export type Measure = "calls" | "failures" | "success" | "first_audio" | "latency" | "cost" | "refused";

export interface Comparison {
  measure: Measure;
  candidate: Shown;
  control: Shown | null;
  /** Null where no limit stands on it by itself. */
  guardrail: Guardrail | null;
}

export interface Shown {
  /** Null where nothing was measured. */
  value: number | null;
  text: string;
  /** Length of its bar, 0 to 1: against the longer of the two. */
  share: number;
}

const RAILS: Partial<Record<Measure, readonly string[]>> = {
  failures: ["failures against the control"],
  latency: ["latency against the control"],
  first_audio: ["first audio against the control", "first audio by itself"],
  refused: ["refused with 409"],
  cost: ["cost"],
};

const GRAVITY: readonly Verdict[] = ["FAIL", "BLIND", "INCONCLUSIVE", "PASS", "NO_DATA"];

interface Reading {
  measure: Measure;
  of: (side: Side) => number | null;
  text: (value: number, side: Side) => string;
}

const READINGS: readonly Reading[] = [
  { measure: "calls", of: (side) => side.total, text: count },
  { measure: "failures", of: (side) => side.failed, text: count },
  {
    measure: "success",
    of: (side) => (side.total === 0 ? null : (side.total - side.failed) / side.total),
    text: (value) => percent(value, 2),
  },
  { measure: "first_audio", of: (side) => side.first_audio_ms, text: duration },
  { measure: "latency", of: (side) => side.latency_ms, text: duration },
  {
    measure: "cost",
    of: (side) => (side.characters === 0 ? null : (side.cost_microusd * 1000) / side.characters),
    text: money,
  },
  {
    measure: "refused",
    of: (side) => side.refused,
    text: (value, side) => strings.ofAsked(count(value), count(side.asked)),
  },
];

/** Puts what the moved tenants met beside what those met who stayed, measure by measure. */
export function compare(judgement: Judgement): Comparison[] {
  return READINGS.map(({ measure, of, text }) => {
    const ours = of(judgement.candidate);
    const theirs = judgement.control === null ? null : of(judgement.control);
    const longest = Math.max(ours ?? 0, theirs ?? 0);
    const shown = (value: number | null, side: Side): Shown => ({
      value,
      text: value === null ? strings.notMeasured : text(value, side),
      share: value === null || longest === 0 ? 0 : value / longest,
    });
    return {
      measure,
      candidate: shown(ours, judgement.candidate),
      control: judgement.control === null ? null : shown(theirs, judgement.control),
      guardrail: gravest(judgement.guardrails.filter((rail) => RAILS[measure]?.includes(rail.name))),
    };
  });
}

/** Guardrails that stand on no measure of the comparison: the triggers' own. */
export function otherGuardrails(judgement: Judgement): Guardrail[] {
  const known = new Set(Object.values(RAILS).flat());
  return judgement.guardrails.filter((rail) => !known.has(rail.name));
}

function gravest(rails: readonly Guardrail[]): Guardrail | null {
  const rank = (rail: Guardrail) => GRAVITY.indexOf(rail.verdict);
  return [...rails].sort((one, other) => rank(one) - rank(other))[0] ?? null;
}
