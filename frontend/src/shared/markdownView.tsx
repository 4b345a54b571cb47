import { Square, SquareCheckBig } from "lucide-react";
import { createElement, type ReactNode } from "react";
import { common } from "@/strings/common";
import { Spoken, Table } from "./layout";
import { type Block, type Inline, type Item, readInline, readMarkdown } from "./markdown";
import styles from "./markdown.module.css";

interface Props {
  text: string;
  /** So many levels its headings go down: 1 where the page's own heading is an h1. */
  below?: number;
}

/** Shows Markdown as React elements: no text of it is ever read as HTML. */
export function Markdown({ text, below = 1 }: Props) {
  return <div className={styles.markdown}>{shown(readMarkdown(text), below)}</div>;
}

/** One line of Markdown: code, emphasis and links. */
export function MarkdownLine({ text }: { text: string }) {
  return <>{inline(readInline(text))}</>;
}

/* The blocks of a text have no identity but their place in it, and are drawn anew with it. */
function shown(blocks: readonly Block[], below: number): ReactNode[] {
  // biome-ignore lint/suspicious/noArrayIndexKey: see above.
  return blocks.map((block, at) => <BlockOf key={`${at}-${block.kind}`} block={block} below={below} />);
}

function BlockOf({ block, below }: { block: Block; below: number }): ReactNode {
  switch (block.kind) {
    case "heading":
      return createElement(`h${Math.min(6, block.level + below)}`, null, inline(block.parts));
    case "paragraph":
      return <p>{inline(block.parts)}</p>;
    case "code":
      return (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard (WCAG 2.1.1).
        <pre tabIndex={0}>
          <code>{block.text}</code>
        </pre>
      );
    case "quote":
      return <blockquote>{shown(block.blocks, below)}</blockquote>;
    case "rule":
      return <hr />;
    case "list":
      return createElement(
        block.ordered ? "ol" : "ul",
        { className: block.ordered ? styles.numbered : styles.points },
        block.items.map((item, at) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: items have no identity but their place.
          <ItemOf key={at} item={item} below={below} />
        )),
      );
    case "table":
      return <TableOf head={block.head} rows={block.rows} />;
  }
}

function ItemOf({ item, below }: { item: Item; below: number }) {
  if (item.ticked === null) {
    return (
      <li>
        {inline(item.parts)}
        {shown(item.more, below)}
      </li>
    );
  }
  const Icon = item.ticked ? SquareCheckBig : Square;
  return (
    <li className={styles.ticked}>
      <Icon size={16} aria-hidden="true" />
      <div>
        <Spoken>{item.ticked ? common.ticked : common.notTicked}</Spoken>
        {inline(item.parts)}
        {shown(item.more, below)}
      </div>
    </li>
  );
}

function TableOf({ head, rows }: { head: Inline[][]; rows: Inline[][][] }) {
  return (
    <Table label={head.map(plain).join(", ")}>
      <thead>
        <tr>
          {head.map((cell, at) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: columns have no identity but their place.
            <th key={at} scope="col">
              {inline(cell)}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {rows.map((row, at) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: rows have no identity but their place.
          <tr key={at}>
            {row.map((cell, column) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: cells have no identity but their place.
              <td key={column}>{inline(cell)}</td>
            ))}
          </tr>
        ))}
      </tbody>
    </Table>
  );
}

function inline(parts: readonly Inline[]): ReactNode[] {
  return parts.map((part, at) => {
    const key = `${at}-${part.kind}`;
    switch (part.kind) {
      case "text":
        return part.text;
      case "code":
        return <code key={key}>{part.text}</code>;
      case "strong":
        return <strong key={key}>{inline(part.parts)}</strong>;
      case "em":
        return <em key={key}>{inline(part.parts)}</em>;
      case "link":
        return (
          <a key={key} href={part.href} rel="noreferrer">
            {inline(part.parts)}
          </a>
        );
    }
    return null;
  });
}

function plain(parts: readonly Inline[]): string {
  return parts.map((part) => ("text" in part ? part.text : plain(part.parts))).join("");
}
