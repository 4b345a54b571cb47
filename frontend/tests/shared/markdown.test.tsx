import { readFileSync } from "node:fs";
import { join } from "node:path";
import { render, screen, within } from "@testing-library/react";
import { expect, test } from "vitest";
import { readMarkdown } from "@/shared/markdown";
import { Markdown, MarkdownLine } from "@/shared/markdownView";

const REPORTS = join(import.meta.dirname, "../../../docs/examples");

test("a report of ours is read whole: headings, template, tables, checklist", () => {
  render(<Markdown text={readFileSync(join(REPORTS, "env-switch-report.md"), "utf8")} below={1} />);
  expect(screen.getByRole("heading", { level: 2, name: /^Incident inc-/ })).toBeInTheDocument();
  expect(screen.getByRole("heading", { level: 3, name: "Timeline" })).toBeInTheDocument();
  expect(screen.getAllByRole("table").length).toBeGreaterThanOrEqual(5);
  const timeline = screen.getAllByRole("table")[0] as HTMLElement;
  expect(within(timeline).getAllByRole("row").length).toBe(21);
  expect(screen.getAllByText("done:", { exact: false })).toHaveLength(8);
  expect(screen.getByText(/^Incident title:/)).toBeInTheDocument();
  expect(document.body.textContent).not.toContain("|---|");
});

test.each([
  "<script>alert(1)</script>",
  "<img src=x onerror=alert(1)>",
  "&lt;img src=x onerror=alert(1)>",
  "| a |\n|---|\n| <svg onload=alert(1)> |",
  "- [x] <iframe src='javascript:alert(1)'></iframe>",
  "```html\n<script>alert(1)</script>\n```",
  "> <style>*{display:none}</style>",
  "**<b onclick=x>bold</b>** `<i>`",
])("what looks like HTML is text: %s", (text) => {
  const { container } = render(<Markdown text={text} />);
  expect(container.querySelector("script, img, iframe, svg[onload], style, b, i")).toBeNull();
  expect(container.textContent).toMatch(/<\/?(script|img|svg|iframe|style|b|i)/);
});

test.each([
  "[x](javascript:alert(1))",
  "[x](JaVaScRiPt:alert(1))",
  "[x](data:text/html,<script>)",
  "[x](vbscript:x)",
  "[x](//elsewhere.invalid/a)",
  "[x](file:///etc/passwd)",
])("an address that is not to be followed stays text: %s", (text) => {
  render(<MarkdownLine text={text} />);
  expect(screen.queryByRole("link")).toBeNull();
});

test("an address that may be followed is a link", () => {
  render(<MarkdownLine text="See [the **playbook**](https://example.invalid/playbook)." />);
  expect(screen.getByRole("link", { name: "the playbook" })).toHaveAttribute(
    "href",
    "https://example.invalid/playbook",
  );
});

test("a cell keeps its escaped bars, and a row its number of cells", () => {
  const [table] = readMarkdown("| a | b |\n|---|---|\n| x \\| y | z | w |\n| alone |");
  expect(table).toMatchObject({
    kind: "table",
    rows: [
      [[{ kind: "text", text: "x | y" }], [{ kind: "text", text: "z" }]],
      [[{ kind: "text", text: "alone" }], []],
    ],
  });
});

test("code keeps its signs", () => {
  expect(readMarkdown("`GET /a` says `{ ok: true }` and `a*b*c`")).toEqual([
    {
      kind: "paragraph",
      parts: [
        { kind: "code", text: "GET /a" },
        { kind: "text", text: " says " },
        { kind: "code", text: "{ ok: true }" },
        { kind: "text", text: " and " },
        { kind: "code", text: "a*b*c" },
      ],
    },
  ]);
});

test("lists: points, numbers, and what stands below an item", () => {
  const [first, second] = readMarkdown("- one\n  more of it\n- two\n\n1. first\n2. second");
  expect(first).toMatchObject({ kind: "list", ordered: false });
  expect(first?.kind === "list" && first.items[0]?.more).toHaveLength(1);
  expect(second).toMatchObject({ kind: "list", ordered: true });
});

test.each([
  ["backticks", "`".repeat(50_000)],
  ["stars", "*".repeat(50_000)],
  ["brackets", "[".repeat(50_000)],
  ["links begun", "[a](".repeat(12_000)],
  ["quotes in quotes", `${">".repeat(5000)} deep`],
  ["lists in lists", Array.from({ length: 400 }, (_, at) => `${"  ".repeat(at)}- x`).join("\n")],
  ["a separator that is none", `a|b\n${"-".repeat(50_000)}x`],
  ["blanks in a heading", `# ${" ".repeat(50_000)}x${" ".repeat(50_000)}#`],
  ["a fence without an end", `\`\`\`\n${"x\n".repeat(20_000)}`],
])("a hostile text is read in a moment: %s", (_, text) => {
  const began = performance.now();
  expect(readMarkdown(text).length).toBeGreaterThan(0);
  expect(performance.now() - began).toBeLessThan(1500);
});
