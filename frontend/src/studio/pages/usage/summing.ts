import { count, money } from "@/shared/format";
import { usage as words } from "@/strings/usage";
import type { Schemas } from "../../api/client";

type Paid = Schemas["PaidUsage"];
type Budget = Schemas["Budget"];

export interface Line {
  operation: string;
  calls: number;
  characters: number;
  seconds: number;
  microusd: number;
}

const ORDER = ["speak", "enroll", "design"];

/** One line for what was done, whoever did it for us. */
export function linesOf(paid: readonly Paid[]): Line[] {
  const lines = new Map<string, Line>();
  for (const one of paid) {
    const line = lines.get(one.operation) ?? {
      operation: one.operation,
      calls: 0,
      characters: 0,
      seconds: 0,
      microusd: 0,
    };
    line.calls += one.calls;
    line.characters += one.characters;
    line.seconds += one.audio_seconds;
    line.microusd += one.cost_microusd;
    lines.set(one.operation, line);
  }
  const place = (line: Line) => (ORDER.indexOf(line.operation) + ORDER.length + 1) % (ORDER.length + 1);
  return [...lines.values()].sort((a, b) => place(a) - place(b));
}

export function sumOf(lines: readonly Line[]): Line {
  return lines.reduce(
    (sum, line) => ({
      operation: "",
      calls: sum.calls + line.calls,
      characters: sum.characters + line.characters,
      seconds: sum.seconds + line.seconds,
      microusd: sum.microusd + line.microusd,
    }),
    { operation: "", calls: 0, characters: 0, seconds: 0, microusd: 0 },
  );
}

export function operationName(operation: string): string {
  return (words.operations as Readonly<Record<string, string>>)[operation] ?? words.other;
}

export function spoken(seconds: number): string {
  const whole = Math.round(seconds);
  if (whole === 0) return words.none;
  if (whole < 60) return words.seconds(whole);
  if (whole < 3600) return words.minutes(Math.floor(whole / 60), whole % 60);
  return words.hours(Math.floor(whole / 3600), Math.floor((whole % 3600) / 60));
}

export interface Allowance {
  key: string;
  name: string;
  used: number;
  limit: number;
  text: string;
  left: string;
  resetsAt: string;
}

/** A budget in words: `generation-day` is "Speech today". */
export function allowanceOf(budget: Budget): Allowance {
  const [what = "", window = ""] = budget.budget.split("-");
  const subject = (words.budget as Readonly<Record<string, string>>)[what] ?? budget.budget;
  const when = (words.windows as Readonly<Record<string, string>>)[window] ?? "";
  const amount = (value: number) => (budget.unit === "creates" ? words.voices(value) : money(value));
  const plain = (value: number) => (budget.unit === "creates" ? count(value) : money(value));
  return {
    key: budget.budget,
    name: words.budgetName(subject, when).trim(),
    used: budget.used,
    limit: budget.limit,
    text: words.used(plain(budget.used), plain(budget.limit)),
    left: budget.left > 0 ? words.left(amount(budget.left)) : words.usedUp,
    resetsAt: budget.resets_at,
  };
}
