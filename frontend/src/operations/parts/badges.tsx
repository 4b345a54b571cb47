import {
  CircleAlert,
  CircleCheck,
  CircleDashed,
  CircleQuestionMark,
  CircleSlash,
  CircleX,
  EyeOff,
  Hammer,
  type LucideIcon,
  OctagonPause,
  OctagonX,
  ShieldCheck,
  Snowflake,
} from "lucide-react";
import { Badge, type Tone } from "@/shared/layout";
import { live } from "@/strings/live";
import { operations } from "@/strings/operations";
import type { Schemas } from "../api/client";

export type Verdict = Schemas["Finding"]["verdict"];
export type IncidentState = Schemas["Incident"]["state"];

interface Look {
  tone: Tone;
  icon: LucideIcon;
}

/** Each verdict has a colour, a shape of its own and words; none stands alone. */
const VERDICTS: Record<Verdict, Look> = {
  PASS: { tone: "pass", icon: CircleCheck },
  FAIL: { tone: "fail", icon: OctagonX },
  BLIND: { tone: "blind", icon: EyeOff },
  INCONCLUSIVE: { tone: "warn", icon: CircleQuestionMark },
  NO_DATA: { tone: "idle", icon: CircleDashed },
};

const STATES: Record<IncidentState, Look> = {
  OPEN: { tone: "fail", icon: CircleAlert },
  RESTORING: { tone: "warn", icon: Hammer },
  MITIGATED: { tone: "info", icon: ShieldCheck },
  RECOVERED: { tone: "pass", icon: CircleCheck },
  CLOSED: { tone: "idle", icon: CircleSlash },
  HOLD: { tone: "warn", icon: OctagonPause },
  FROZEN: { tone: "blind", icon: Snowflake },
  ABORTED: { tone: "idle", icon: CircleX },
};

/** A verdict: the word of the lattice, and with `words` what it means. Null: nobody looked yet. */
export function VerdictBadge({ verdict, words }: { verdict: Verdict | null; words?: boolean }) {
  if (verdict === null) return <Badge title={live.noVerdict}>{live.noVerdict}</Badge>;
  const { tone, icon: Icon } = VERDICTS[verdict];
  const meaning = operations.verdicts[verdict];
  return (
    <Badge tone={tone} title={live.verdict(meaning)}>
      <Icon size={14} aria-hidden="true" />
      {words ? meaning : verdict.replace("_", " ")}
    </Badge>
  );
}

/** The state of an incident. */
export function StateBadge({ state }: { state: IncidentState }) {
  const { tone, icon: Icon } = STATES[state];
  return (
    <Badge tone={tone} title={live.state(operations.states[state])}>
      <Icon size={14} aria-hidden="true" />
      {operations.states[state]}
    </Badge>
  );
}
