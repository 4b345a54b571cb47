/**
 * The Markdown that this product writes itself (reports, the playbook's page) as plain data.
 *
 * There is no HTML in it: whatever looks like a tag is text, and stays text. What is not known stays as it is written.
 */

export type Inline =
  | { kind: "text"; text: string }
  | { kind: "code"; text: string }
  | { kind: "strong" | "em"; parts: Inline[] }
  | { kind: "link"; href: string; parts: Inline[] };

export interface Item {
  /** Null where it is no point of a checklist. */
  ticked: boolean | null;
  parts: Inline[];
  /** What stands below it, indented. */
  more: Block[];
}

export type Block =
  | { kind: "heading"; level: number; parts: Inline[] }
  | { kind: "paragraph"; parts: Inline[] }
  | { kind: "code"; language: string; text: string }
  | { kind: "table"; head: Inline[][]; rows: Inline[][][] }
  | { kind: "list"; ordered: boolean; items: Item[] }
  | { kind: "quote"; blocks: Block[] }
  | { kind: "rule" };

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([\w+-]*)\s*$/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*)$/;
const RULE = /^ {0,3}([-*_])(?:\s*\1){2,}\s*$/;
const ITEM = /^(\s*)(?:([-*+])|(\d{1,9})[.)])\s+(.*)$/;
const TICK = /^\[([ xX])\]\s+(.*)$/;
const SEPARATOR_CELL = /^:?-+:?$/;
/** Deeper than this it is text: nobody writes that, and a hostile text cannot exhaust the stack. */
const DEEPEST = 8;
/** Addresses that may be followed; a scheme that runs something is not among them. */
const FOLLOWED = /^(?:https?:\/\/|mailto:|#|\/(?!\/))/i;

/** Reads `text`; never throws. */
export function readMarkdown(text: string): Block[] {
  return blocksOf(text.replace(/\r\n?/g, "\n").split("\n"), 0);
}

function blocksOf(lines: readonly string[], depth: number): Block[] {
  const blocks: Block[] = [];
  let at = 0;
  while (at < lines.length) {
    const line = lines[at] ?? "";
    if (line.trim() === "") {
      at += 1;
      continue;
    }
    const [block, next] = blockAt(lines, at, depth);
    blocks.push(block);
    at = next;
  }
  return blocks;
}

function blockAt(lines: readonly string[], at: number, depth: number): [Block, number] {
  const line = lines[at] ?? "";
  const fence = FENCE.exec(line);
  if (fence) return fenced(lines, at, fence[1] ?? "```", fence[2] ?? "");
  const heading = HEADING.exec(line);
  if (heading) {
    const said = (heading[2] ?? "").trimEnd();
    return [{ kind: "heading", level: heading[1]?.length ?? 1, parts: readInline(said) }, at + 1];
  }
  if (RULE.test(line)) return [{ kind: "rule" }, at + 1];
  if (beginsTable(lines, at)) return table(lines, at);
  if (depth < DEEPEST && ITEM.test(line)) return list(lines, at, depth);
  if (depth < DEEPEST && line.trimStart().startsWith(">")) return quote(lines, at, depth);
  return paragraph(lines, at);
}

function fenced(lines: readonly string[], at: number, fence: string, language: string): [Block, number] {
  const inside: string[] = [];
  let next = at + 1;
  for (; next < lines.length; next += 1) {
    const line = (lines[next] ?? "").trim();
    if (line.length >= fence.length && line === (fence[0] ?? "`").repeat(line.length)) {
      next += 1;
      break;
    }
    inside.push(lines[next] ?? "");
  }
  return [{ kind: "code", language, text: unescaped(inside.join("\n")) }, next];
}

function beginsTable(lines: readonly string[], at: number): boolean {
  const next = (lines[at + 1] ?? "").trim();
  if (!(lines[at] ?? "").includes("|") || !next.includes("-")) return false;
  const columns = next.replace(/^\|/, "").replace(/\|$/, "").split("|");
  return columns.every((column) => SEPARATOR_CELL.test(column.trim()));
}

function table(lines: readonly string[], at: number): [Block, number] {
  const head = cells(lines[at] ?? "");
  const rows: Inline[][][] = [];
  let next = at + 2;
  for (; next < lines.length && (lines[next] ?? "").includes("|"); next += 1) {
    const row = cells(lines[next] ?? "").slice(0, head.length);
    rows.push([...row, ...Array.from({ length: head.length - row.length }, () => [] as Inline[])]);
  }
  return [{ kind: "table", head, rows }, next];
}

function cells(line: string): Inline[][] {
  const found: string[] = [];
  let cell = "";
  const inside = line.trim().replace(/^\|/, "");
  for (let at = 0; at < inside.length; at += 1) {
    if (inside[at] === "\\" && inside[at + 1] === "|") {
      cell += "|";
      at += 1;
    } else if (inside[at] === "|") {
      found.push(cell);
      cell = "";
    } else {
      cell += inside[at];
    }
  }
  if (cell.trim() !== "") found.push(cell);
  return found.map((one) => readInline(one.trim()));
}

function list(lines: readonly string[], at: number, depth: number): [Block, number] {
  const first = ITEM.exec(lines[at] ?? "");
  const indent = first?.[1]?.length ?? 0;
  const ordered = first?.[3] !== undefined;
  const items: Item[] = [];
  let next = at;
  while (next < lines.length) {
    const item = ITEM.exec(lines[next] ?? "");
    if (!item || (item[1]?.length ?? 0) !== indent || (item[3] !== undefined) !== ordered) break;
    const below: string[] = [];
    next += 1;
    while (next < lines.length && belongsBelow(lines, next, indent)) {
      below.push((lines[next] ?? "").slice(indent + 2));
      next += 1;
    }
    const text = item[4] ?? "";
    const tick = TICK.exec(text);
    items.push({
      ticked: tick ? tick[1] !== " " : null,
      parts: readInline(tick?.[2] ?? text),
      more: blocksOf(below, depth + 1),
    });
  }
  return [{ kind: "list", ordered, items }, next];
}

/** Whether a line is a part of the item above it: indented further, or blank with such a line after it. */
function belongsBelow(lines: readonly string[], at: number, indent: number): boolean {
  const line = lines[at] ?? "";
  const deeper = (text: string) => text.trim() !== "" && text.length - text.trimStart().length > indent;
  return line.trim() === "" ? deeper(lines[at + 1] ?? "") : deeper(line);
}

function quote(lines: readonly string[], at: number, depth: number): [Block, number] {
  const inside: string[] = [];
  let next = at;
  for (; next < lines.length && (lines[next] ?? "").trimStart().startsWith(">"); next += 1) {
    inside.push((lines[next] ?? "").trimStart().replace(/^> ?/, ""));
  }
  return [{ kind: "quote", blocks: blocksOf(inside, depth + 1) }, next];
}

function paragraph(lines: readonly string[], at: number): [Block, number] {
  const inside = [(lines[at] ?? "").trim()];
  let next = at + 1;
  for (; next < lines.length; next += 1) {
    const line = lines[next] ?? "";
    const ends =
      line.trim() === "" ||
      FENCE.test(line) ||
      HEADING.test(line) ||
      RULE.test(line) ||
      ITEM.test(line) ||
      beginsTable(lines, next);
    if (ends) break;
    inside.push(line.trim());
  }
  return [{ kind: "paragraph", parts: readInline(inside.join(" ")) }, next];
}

/** Each alternative ends at the next sign of its own kind: a hostile line is read in one pass. */
const INLINE =
  /(`{1,3})([^`]+)\1(?!`)|\*\*([^*]+)\*\*|\*([^\s*][^*]*)\*|\[([^\][]*)\]\(([^\s()]+)\)|\\([\\`*_[\]|<>#-])/;

/** Reads the text of one line. */
export function readInline(text: string, depth = 0): Inline[] {
  const parts: Inline[] = [];
  const say = (said: string) => {
    if (said === "") return;
    const last = parts.at(-1);
    if (last?.kind === "text") last.text += unescaped(said);
    else parts.push({ kind: "text", text: unescaped(said) });
  };
  let rest = text;
  while (rest !== "") {
    const found = depth < DEEPEST ? INLINE.exec(rest) : null;
    if (!found) {
      say(rest);
      break;
    }
    say(rest.slice(0, found.index));
    rest = rest.slice(found.index + found[0].length);
    const [whole, , code, strong, em, label, href, escaped] = found;
    if (code !== undefined) parts.push({ kind: "code", text: unescaped(code) });
    else if (strong !== undefined) parts.push({ kind: "strong", parts: readInline(strong, depth + 1) });
    else if (em !== undefined) parts.push({ kind: "em", parts: readInline(em, depth + 1) });
    else if (href !== undefined && FOLLOWED.test(href)) {
      parts.push({ kind: "link", href, parts: readInline(label ?? href, depth + 1) });
    } else say(escaped ?? whole);
  }
  return parts;
}

/** Our writer writes `<` as an entity; a reader sees the sign. It is shown as text and never read as a tag. */
function unescaped(text: string): string {
  return text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
}
