import { evidence as strings } from "@/strings/evidence";

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/** How one value is shown. */
export type Shown =
  | { kind: "text"; text: string }
  | { kind: "hash"; text: string }
  | { kind: "time"; at: string }
  | { kind: "part"; about: string; fields: Field[] };

export interface Field {
  name: string;
  shown: Shown;
}

const HASH = /^[0-9a-f]{40,64}$/;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/;
/** A list of so few short values is said on one line. */
const SHORT_LIST = 6;
const SHORT_TEXT = 40;

/** The name of a field as words; what is a name of an environment variable, a path or a hash stays as it is. */
export function nameOf(key: string): string {
  return /^[a-z][a-z0-9]*(_[a-z0-9]+)+$/.test(key) ? key.replaceAll("_", " ") : key;
}

/** The fields of a document, in its own order. */
export function fieldsOf(document: { [name: string]: unknown }): Field[] {
  return Object.entries(document).map(([key, value]) => ({ name: nameOf(key), shown: shownOf(value) }));
}

export function shownOf(value: unknown): Shown {
  if (value === null || value === undefined || value === "") return { kind: "text", text: strings.nothing };
  if (typeof value === "boolean") return { kind: "text", text: value ? strings.yes : strings.no };
  if (typeof value === "string") {
    if (HASH.test(value)) return { kind: "hash", text: value };
    if (TIME.test(value) && !Number.isNaN(Date.parse(value))) return { kind: "time", at: value };
    return { kind: "text", text: value };
  }
  if (Array.isArray(value)) return ofList(value);
  if (typeof value === "object") {
    const fields = fieldsOf(value as { [name: string]: unknown });
    if (fields.length === 0) return { kind: "text", text: strings.nothing };
    return { kind: "part", about: strings.facts(fields.length), fields };
  }
  return { kind: "text", text: String(value) };
}

function ofList(values: readonly unknown[]): Shown {
  if (values.length === 0) return { kind: "text", text: strings.nothing };
  if (values.length <= SHORT_LIST && values.every(isShort)) {
    return { kind: "text", text: values.map(String).join(", ") };
  }
  const fields = values.map((value, at) => ({ name: strings.row(at + 1), shown: shownOf(value) }));
  return { kind: "part", about: strings.rows(values.length), fields };
}

function isShort(value: unknown): boolean {
  if (typeof value === "string") return value.length <= SHORT_TEXT && !HASH.test(value) && !TIME.test(value);
  return typeof value === "number" || typeof value === "boolean";
}
