/** The policy as data is a document without a schema here: it is read with care, and what is missing is left out. */
import { type Inline, readMarkdown } from "@/shared/markdown";

export type ActsAs = "shadow" | "pause" | "auto";

export interface Check {
  name: string;
  mode: ActsAs;
  cures: string[];
  /** Every number of it. */
  numbers: { [name: string]: unknown };
}

export interface Family {
  trigger: string;
  sentence: string;
  checks: Check[];
}

export interface Rung {
  rung: number;
  action: string;
  title: string;
  rollbackType: string | null;
  approvals: number;
  timeBoxS: number;
  steps: { name: string; withinS: number }[];
  /** What a person does instead. */
  byHand: string;
}

export interface Closing {
  cleanWindows: number;
  minimumEvidence: number;
  realSuccessOf: string[];
  maximumWaitS: number;
  windowS: number;
  sloPercent: number;
  attempts: number;
}

export interface Stage {
  percent: number;
  holdS: number;
  excludePercent: number;
}

export interface Policy {
  version: string;
  owner: string;
  families: Family[];
  ladder: Rung[];
  checklist: string[];
  closing: Closing | null;
  cutover: { advance: string; confidencePercent: number; stages: Stage[]; guardrails: Fields } | null;
}

type Fields = { [name: string]: unknown };

const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const fields = (value: unknown): Fields => (isFields(value) ? value : {});
const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);
const text = (value: unknown): string =>
  typeof value === "string" ? value : typeof value === "number" ? String(value) : "";
const number = (value: unknown): number => (typeof value === "number" ? value : 0);
const texts = (value: unknown): string[] => list(value).map(text);

/** Reads the policy as the guard gives it. */
export function policyOf(document: unknown): Policy {
  const policy = fields(document);
  const triggers = fields(policy.triggers);
  const cures = fields(policy.cures);
  return {
    version: text(policy.version),
    owner: text(policy.owner),
    families: list(policy.families)
      .map(fields)
      .map((family) => ({
        trigger: text(family.trigger),
        sentence: text(family.sentence),
        checks: checksOf(triggers[text(family.trigger)]),
      })),
    ladder: list(policy.ladder)
      .map(fields)
      .map((rung) => ({
        rung: number(rung.rung),
        action: text(rung.action),
        title: text(rung.title),
        rollbackType: text(rung.rollback_type) || null,
        approvals: number(rung.approvals),
        timeBoxS: number(rung.time_box_s),
        steps: Object.entries(fields(rung.steps)).map(([name, within]) => ({
          name,
          withinS: number(within),
        })),
        byHand: text(fields(cures[text(rung.action)]).instruction),
      })),
    checklist: texts(policy.checklist),
    closing: closingOf(policy),
    cutover: isFields(policy.cutover) ? cutoverOf(policy.cutover) : null,
  };
}

/** Of a family's fields those that are checks: they say how they act and what they ask for. */
function checksOf(trigger: unknown): Check[] {
  return Object.entries(fields(trigger)).flatMap(([name, value]) => {
    const { mode, cures, ...numbers } = fields(value);
    if (mode !== "shadow" && mode !== "pause" && mode !== "auto") return [];
    return [{ name, mode, cures: texts(cures), numbers }];
  });
}

function closingOf(policy: Fields): Closing | null {
  if (!isFields(policy.closing)) return null;
  const rate = fields(fields(fields(policy.triggers).success_rate).rate);
  const { closing } = policy;
  return {
    cleanWindows: number(closing.clean_windows),
    minimumEvidence: number(closing.minimum_evidence),
    realSuccessOf: texts(closing.real_success_of),
    maximumWaitS: number(closing.maximum_wait_s),
    windowS: number(rate.window_s),
    sloPercent: number(rate.slo_percent),
    attempts: number(fields(policy.limits).attempts),
  };
}

function cutoverOf(cutover: Fields): Policy["cutover"] {
  return {
    advance: text(cutover.advance),
    confidencePercent: number(cutover.confidence_percent),
    stages: list(cutover.stages)
      .map(fields)
      .map((stage) => ({
        percent: number(stage.percent),
        holdS: number(stage.hold_s),
        excludePercent: number(stage.exclude_percent),
      })),
    guardrails: fields(cutover.guardrails),
  };
}

/** Each check's limits as a sentence, by "trigger/check", from the page that `understudy playbook show` prints. */
export function limitsOf(markdown: string): Map<string, string> {
  const found = new Map<string, string>();
  let trigger: string | null = null;
  for (const block of readMarkdown(markdown)) {
    if (block.kind === "heading") {
      trigger = /^\d+\. (\w+)$/.exec(plain(block.parts))?.[1] ?? null;
    } else if (block.kind === "table" && trigger !== null) {
      for (const [check, , limit] of block.rows) {
        if (check && limit) found.set(`${trigger}/${plain(check)}`, plain(limit));
      }
    }
  }
  return found;
}

function plain(parts: readonly Inline[]): string {
  return parts.map((part) => ("text" in part ? part.text : plain(part.parts))).join("");
}
