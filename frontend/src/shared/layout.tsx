import type { ReactNode } from "react";
import { common } from "@/strings/common";
import { classes } from "./classes";
import { Button } from "./controls";
import styles from "./layout.module.css";
import { sentenceOf } from "./problems";

export type Tone = "info" | "pass" | "warn" | "fail" | "blind" | "idle";

export function Card({ children, className }: { children: ReactNode; className?: string | undefined }) {
  return <section className={classes(styles.card, className)}>{children}</section>;
}

/** A page's heading, what the page is for, and what can be done here. */
export function PageHeader({
  title,
  about,
  children,
}: {
  title: string;
  about?: ReactNode;
  children?: ReactNode;
}) {
  return (
    <header className={styles.header}>
      <div>
        <h1 tabIndex={-1}>{title}</h1>
        {about && <p>{about}</p>}
      </div>
      {children && <div className={styles.actions}>{children}</div>}
    </header>
  );
}

export function Stack({ children }: { children: ReactNode }) {
  return <div className={styles.stack}>{children}</div>;
}

export function Row({ children }: { children: ReactNode }) {
  return <div className={styles.row}>{children}</div>;
}

/** As many columns as fit. */
export function Grid({ children, column = "20rem" }: { children: ReactNode; column?: string }) {
  return (
    <div className={styles.grid} style={{ "--column": column } as React.CSSProperties}>
      {children}
    </div>
  );
}

export function Empty({
  title,
  children,
  action,
}: {
  title: string;
  children?: ReactNode;
  action?: ReactNode;
}) {
  return (
    <div className={styles.empty}>
      <h2>{title}</h2>
      {children && <p>{children}</p>}
      {action}
    </div>
  );
}

interface BannerProps {
  tone?: Tone;
  children: ReactNode;
  action?: ReactNode;
  /** Read out at once; without it, when there is a pause. */
  urgent?: boolean;
}

export function Banner({ tone = "info", children, action, urgent }: BannerProps) {
  return (
    <div className={classes(styles.banner, styles[tone])} role={urgent ? "alert" : "status"}>
      <div>{children}</div>
      {action}
    </div>
  );
}

/** What is shown in place of what could not be loaded. */
export function Failure({ error, onRetry }: { error: unknown; onRetry?: () => void }) {
  return (
    <Banner
      tone="fail"
      urgent
      action={
        onRetry && (
          <Button small onClick={onRetry}>
            {common.retry}
          </Button>
        )
      }
    >
      {sentenceOf(error, common.failed)}
    </Banner>
  );
}

export function Badge({
  tone = "idle",
  children,
  title,
}: {
  tone?: Tone;
  children: ReactNode;
  title?: string;
}) {
  return (
    <span className={classes(styles.badge, styles[tone])} title={title}>
      {children}
    </span>
  );
}

/** Holds the place of what loads, so that nothing moves when it comes. Lengths are CSS lengths. */
export function Skeleton({ height = "1.2em", width = "100%" }: { height?: string; width?: string }) {
  return <span className={styles.skeleton} style={{ height, width }} aria-hidden="true" />;
}

export function Loading({ rows = 3, height = "4.5rem" }: { rows?: number; height?: string }) {
  return (
    <div className={styles.stack} role="status" aria-label={common.loading}>
      {Array.from({ length: rows }, (_, row) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: rows of nothing have no identity.
        <Skeleton key={row} height={height} />
      ))}
    </div>
  );
}

/** A table that scrolls by itself where the page is narrow. Give it `<thead>` and `<tbody>`. */
export function Table({ label, children }: { label: string; children: ReactNode }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard (WCAG 2.1.1).
    <section className={styles.tableScroll} aria-label={label} tabIndex={0}>
      <table className={styles.table}>{children}</table>
    </section>
  );
}

export function Stat({ label, children, note }: { label: string; children: ReactNode; note?: ReactNode }) {
  return (
    <dl className={styles.stat}>
      <dt>{label}</dt>
      <dd>{children}</dd>
      {note && <dd className={styles.side}>{note}</dd>}
    </dl>
  );
}

export function Pages({
  page,
  pages,
  onPage,
}: {
  page: number;
  pages: number;
  onPage: (page: number) => void;
}) {
  if (pages <= 1) return null;
  return (
    <nav className={styles.pages} aria-label={common.pagination}>
      <Button small disabled={page <= 1} onClick={() => onPage(page - 1)}>
        {common.previous}
      </Button>
      <span>{common.page(page, pages)}</span>
      <Button small disabled={page >= pages} onClick={() => onPage(page + 1)}>
        {common.next}
      </Button>
    </nav>
  );
}

/** For those who listen only. */
export function Spoken({ children }: { children: ReactNode }) {
  return <span className={styles.hidden}>{children}</span>;
}
