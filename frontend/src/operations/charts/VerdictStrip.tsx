import { classes } from "@/shared/classes";
import { localTime } from "@/shared/format";
import { Spoken } from "@/shared/layout";
import { charts as words } from "@/strings/charts";
import { operations } from "@/strings/operations";
import styles from "./charts.module.css";
import type { Run, Verdict } from "./verdict_runs";
import { summaryOf } from "./verdict_runs";

const time = (seconds: number) => localTime(new Date(seconds * 1000), "time");

/** Verdicts of each lane beneath the chart, along the same time: a colour, a pattern and a letter each. */
export function VerdictStrip({
  lanes,
  lane,
}: {
  lanes: ReadonlyMap<string, Run[]>;
  lane: (provider: string) => string;
}) {
  const met = new Set([...lanes.values()].flat().map((run) => run.verdict));
  return (
    <div className={styles.strips}>
      {[...lanes].map(([provider, runs]) => (
        <div key={provider} className={styles.stripRow}>
          <span className={styles.stripName}>{lane(provider)}</span>
          <div className={styles.strip} role="img" aria-label={words.strip.label(lane(provider))}>
            {runs.map((run) => (
              <span
                key={run.since}
                className={classes(styles.run, styles[run.verdict])}
                style={{ left: `${run.left * 100}%`, width: `${run.width * 100}%` }}
                title={words.strip.run(run.verdict.replace("_", " "), time(run.since), time(run.until))}
              >
                {run.width > 0.018 && words.strip.letters[run.verdict]}
              </span>
            ))}
          </div>
          <Spoken>{summaryOf(runs)}</Spoken>
        </div>
      ))}
      {met.size > 0 && (
        <ul className={styles.stripLegend} aria-label={words.strip.legend}>
          {ORDER.filter((verdict) => met.has(verdict)).map((verdict) => (
            <li key={verdict}>
              <span className={classes(styles.sample, styles[verdict])} aria-hidden="true">
                {words.strip.letters[verdict]}
              </span>
              {operations.verdicts[verdict]}
            </li>
          ))}
          <li>
            <span className={styles.sample} aria-hidden="true" />
            {words.strip.unjudged}
          </li>
        </ul>
      )}
    </div>
  );
}

const ORDER: readonly Verdict[] = ["PASS", "FAIL", "BLIND", "INCONCLUSIVE", "NO_DATA"];
