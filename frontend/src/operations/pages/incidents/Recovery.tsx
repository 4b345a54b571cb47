import { classes } from "@/shared/classes";
import { count, localTime } from "@/shared/format";
import { Banner, Card, Spoken } from "@/shared/layout";
import { incidents as strings } from "@/strings/incidents";
import { useStatus } from "../../api/queries";
import { type IncidentDetail, isOver } from "./permitted";
import { countWindows, type RecoveryNow, recoveryOf, windowLook } from "./recovering";
import styles from "./recovery.module.css";

/** How far the monitoring is clean, window by window; for what is over, how it was when it had recovered. */
export function Recovery({ incident }: { incident: IncidentDetail }) {
  const { data: status } = useStatus();
  const recovery = recoveryOf(incident, status ?? null);
  return (
    <Card>
      <h2>{strings.recovery.title}</h2>
      {recovery ? (
        <Told recovery={recovery} over={isOver(incident.state)} />
      ) : (
        <p className={styles.soft}>
          {isOver(incident.state) ? strings.recovery.never : strings.recovery.none}
        </p>
      )}
    </Card>
  );
}

function Told({ recovery, over }: { recovery: RecoveryNow; over: boolean }) {
  const successes = Object.entries(recovery.successes);
  return (
    <div className={styles.told}>
      {recovery.recovered ? (
        <p className={styles.clean}>{over ? strings.recovery.was : strings.recovery.clean}</p>
      ) : (
        <>
          <p>{strings.recovery.waits}</p>
          <ul className={styles.waits}>
            {recovery.waiting_for.map((one) => (
              <li key={one}>{one}</li>
            ))}
          </ul>
        </>
      )}
      {recovery.overdue && !recovery.recovered && <Banner tone="warn">{strings.recovery.overdue}</Banner>}
      <Windows recovery={recovery} />
      <p className={styles.soft}>
        {strings.recovery.calls(count(recovery.n), count(recovery.failures))}
        {successes.map(
          ([operation, number]) =>
            `; ${strings.recovery.operations[operation] ?? operation.replaceAll("_", " ")}: ${count(number)}`,
        )}
      </p>
    </div>
  );
}

/** The newest windows, oldest first: each has a height of its own for clean, failed and empty. */
function Windows({ recovery }: { recovery: RecoveryNow }) {
  const windows = recovery.windows.slice(0, 24).toReversed();
  if (windows.length === 0) return null;
  const counted = countWindows(recovery.windows);
  return (
    <div>
      <div className={styles.windows} aria-hidden="true">
        {windows.map((window) => (
          <span
            key={window.start}
            className={classes(styles.window, styles[windowLook(window)])}
            title={strings.recovery.window(
              localTime(new Date(window.start), "time"),
              window.total,
              window.failed,
            )}
          />
        ))}
      </div>
      <p className={styles.soft}>
        <Spoken>{`${strings.recovery.windows}: `}</Spoken>
        {strings.recovery.counted(counted.clean, counted.failed, counted.empty)}
      </p>
    </div>
  );
}
