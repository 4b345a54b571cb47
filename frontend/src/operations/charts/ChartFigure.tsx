import { ChartLine, Table as TableIcon } from "lucide-react";
import { type KeyboardEvent, type ReactNode, useId, useState } from "react";
import { Button } from "@/shared/controls";
import { localTime } from "@/shared/format";
import { Card, Spoken } from "@/shared/layout";
import { charts as words } from "@/strings/charts";
import { ChartTable } from "./ChartTable";
import styles from "./charts.module.css";
import { useCursor, useCursorAt } from "./cursor";
import type { Mark } from "./mark_groups";
import { Plot } from "./Plot";
import { type Chart, type Grid, indexAt, newestIndex, type Series, spoken, valuesAt } from "./series";

const timeOf = (grid: Grid, index: number) =>
  localTime(new Date(((grid.xs[index] ?? 0) - grid.bucketS / 2) * 1000), "time");

interface ChartFigureProps {
  chart: Chart;
  grid: Grid;
  marks: readonly Mark[];
  /** Beside the title. */
  side?: ReactNode;
  /** Beneath the plot, as wide as it. */
  children?: ReactNode;
}

/** A chart with its name, its legend (which says the values at the cursor), its keys, and its table. */
export function ChartFigure({ chart, grid, marks, side, children }: ChartFigureProps) {
  const [table, setTable] = useState(false);
  const id = useId();
  const at = useCursorAt();
  const index = at === null ? null : indexAt(grid, at);
  const empty = chart.series.every((one) => one.values.every((value) => value === null));
  return (
    <Card>
      <figure className={styles.figure} aria-labelledby={id}>
        <div className={styles.head}>
          <div>
            <h3 id={id}>{chart.title}</h3>
            <p>{chart.about}</p>
          </div>
          <div className={styles.side}>
            {side}
            <Button
              small
              kind="quiet"
              className={styles.swap}
              title={table ? words.asChart : words.asTable}
              aria-pressed={table}
              onClick={() => setTable(!table)}
            >
              {table ? (
                <ChartLine size={16} aria-hidden="true" />
              ) : (
                <TableIcon size={16} aria-hidden="true" />
              )}
              <span>{table ? words.asChart : words.asTable}</span>
              <Spoken>{`: ${chart.title}`}</Spoken>
            </Button>
          </div>
        </div>
        <Legend chart={chart} grid={grid} index={index} />
        {table ? (
          <ChartTable chart={chart} grid={grid} />
        ) : (
          <>
            <Keys chart={chart} grid={grid} index={index}>
              <Plot chart={chart} grid={grid} marks={marks} />
              {empty && <p className={styles.none}>{words.none}</p>}
            </Keys>
            {children}
          </>
        )}
      </figure>
    </Card>
  );
}

function Legend({ chart, grid, index }: { chart: Chart; grid: Grid; index: number | null }) {
  const newest = newestIndex(chart);
  const shown = index ?? newest;
  return (
    <ul className={styles.legend}>
      {valuesAt(chart, shown).map(({ series, value }) => (
        <li key={series.label}>
          <Swatch series={series} solid={chart.kind === "stack"} />
          {series.label}
          <strong>{value === null ? words.nothing : chart.format(value)}</strong>
        </li>
      ))}
      {shown !== null && (
        <li className={styles.when}>
          {index === null ? words.newest(timeOf(grid, shown)) : words.at(timeOf(grid, shown))}
        </li>
      )}
    </ul>
  );
}

function Swatch({ series, solid }: { series: Series; solid: boolean }) {
  return (
    <svg width="22" height="10" aria-hidden="true" style={{ color: `var(${series.colour})` }}>
      {solid ? (
        <rect width="12" height="10" x="5" rx="2" fill="currentColor" />
      ) : (
        <line
          x1="0"
          x2="22"
          y1="5"
          y2="5"
          stroke="currentColor"
          strokeWidth="2.5"
          strokeDasharray={series.dash?.join(" ")}
        />
      )}
    </svg>
  );
}

interface KeysProps {
  chart: Chart;
  grid: Grid;
  index: number | null;
  children: ReactNode;
}

/** The cursor for the keyboard: a slider through time; a live region says the values. */
function Keys({ chart, grid, index, children }: KeysProps) {
  const cursor = useCursor();
  const [reading, setReading] = useState("");
  const last = grid.xs.length - 1;
  const shown = index ?? last;
  const press = (event: KeyboardEvent) => {
    const to = target(event, index, last);
    if (to === undefined) return;
    event.preventDefault();
    cursor.set(to === null ? null : (grid.xs[to] ?? null));
    setReading(to === null ? "" : words.reading(timeOf(grid, to), spoken(chart, to)));
  };
  return (
    <div className={styles.plot}>
      <div
        className={styles.keys}
        role="slider"
        tabIndex={0}
        aria-label={words.cursor(chart.title)}
        aria-orientation="horizontal"
        aria-valuemin={0}
        aria-valuemax={last}
        aria-valuenow={shown}
        aria-valuetext={timeOf(grid, shown)}
        onKeyDown={press}
        onBlur={() => setReading("")}
      >
        {children}
      </div>
      <Spoken>
        <span role="status">{reading}</span>
      </Spoken>
    </div>
  );
}

const FAR = 10;

/** Where a key leads: an index, null for "let go", undefined for no such key. */
export function target(
  { key, shiftKey }: Pick<KeyboardEvent, "key" | "shiftKey">,
  index: number | null,
  last: number,
): number | null | undefined {
  const step = shiftKey ? FAR : 1;
  const from = index ?? last + 1;
  const within = (to: number) => Math.max(0, Math.min(last, to));
  switch (key) {
    case "ArrowLeft":
    case "ArrowDown":
      return within(from - step);
    case "ArrowRight":
    case "ArrowUp":
      return within(from + step);
    case "PageDown":
      return within(from - FAR);
    case "PageUp":
      return within(from + FAR);
    case "Home":
      return 0;
    case "End":
      return last;
    case "Escape":
      return index === null ? undefined : null;
    default:
      return undefined;
  }
}
