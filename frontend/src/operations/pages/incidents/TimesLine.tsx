import { Check, Circle, CircleDashed, Minus } from "lucide-react";
import { classes } from "@/shared/classes";
import { duration } from "@/shared/format";
import { Card, Spoken } from "@/shared/layout";
import { Time } from "@/shared/time";
import { incidents as strings } from "@/strings/incidents";
import { type Interval, intervalsOf, type Point, pointsOf, type Times, wholeSeconds } from "./points";
import { useGuardNow } from "./queries";
import styles from "./times.module.css";

const SHAPES = { reached: Check, next: Circle, ahead: CircleDashed, skipped: Minus } as const;

/** The eight points as one line that fills while it happens, and what the report counts between them. */
export function TimesLine({ times, over }: { times: Times; over: boolean }) {
  const points = pointsOf(times, over);
  return (
    <Card>
      <h2>{strings.times.title}</h2>
      <ol className={styles.line}>
        {points.map((point, at) => (
          <Mark key={point.name} point={point} before={points[at - 1] ?? null} />
        ))}
      </ol>
      {times.onset === null && <p className={styles.note}>{strings.times.noOnset}</p>}
      <Intervals times={times} over={over} />
    </Card>
  );
}

function Mark({ point, before }: { point: Point; before: Point | null }) {
  const Shape = SHAPES[point.state];
  return (
    <li
      className={classes(styles.point, styles[point.state], before?.state === "reached" && styles.after)}
      aria-current={point.state === "next" ? "step" : undefined}
    >
      <span className={styles.shape}>
        <Shape size={14} aria-hidden="true" />
      </span>
      <span className={styles.name} title={strings.times.meaning[point.name]}>
        {strings.times.names[point.name]}
        <Spoken>{`, ${strings.times.meaning[point.name]}: `}</Spoken>
      </span>
      {point.state === "reached" && point.at !== null ? (
        <>
          <span className={styles.since}>
            {point.sinceMs ? strings.after(duration(point.sinceMs)) : strings.times.zero}
          </span>
          <span className={styles.at}>
            <Time at={point.at} style="time" />
          </span>
        </>
      ) : (
        <span className={styles.at}>
          {strings.times[point.state === "reached" ? "skipped" : point.state]}
        </span>
      )}
    </li>
  );
}

function Intervals({ times, over }: { times: Times; over: boolean }) {
  const intervals = intervalsOf(times);
  if (times.onset === null) return null;
  return (
    <dl className={styles.intervals}>
      {intervals.map((interval) => (
        <div key={interval.name}>
          <dt>{strings.times.intervals[interval.name]}</dt>
          <dd>
            <Length interval={interval} onset={times.onset} over={over} />
          </dd>
        </div>
      ))}
    </dl>
  );
}

function Length({ interval, onset, over }: { interval: Interval; onset: string | null; over: boolean }) {
  if (interval.ms !== null) return <strong>{duration(interval.ms)}</strong>;
  if (over || onset === null) return <span className={styles.absent}>{strings.times.skipped}</span>;
  return <SoFar onset={onset} />;
}

function SoFar({ onset }: { onset: string }) {
  const spent = Math.max(0, useGuardNow().getTime() - Date.parse(onset));
  return <span className={styles.absent}>{strings.times.soFar(wholeSeconds(spent))}</span>;
}
