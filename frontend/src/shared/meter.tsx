import { classes } from "./classes";
import styles from "./meter.module.css";

interface MeterProps {
  /** What it measures: its name. */
  label: string;
  value: number;
  most: number;
  /** As people say it: "$1.20 of $5.00". */
  text: string;
}

const NEARLY = 0.8;

/** How much of a limit is used; the words beside it say it, the colour only repeats them. */
export function Meter({ label, value, most, text }: MeterProps) {
  const share = most > 0 ? Math.min(1, Math.max(0, value / most)) : 1;
  return (
    // biome-ignore lint/a11y/useSemanticElements: a meter element is drawn by the browser, each its own way.
    <div
      className={styles.meter}
      role="meter"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={most}
      aria-valuenow={Math.min(value, most)}
      aria-valuetext={text}
    >
      <span
        className={classes(styles.fill, share >= 1 ? styles.fail : share >= NEARLY && styles.warn)}
        style={{ width: `${share * 100}%` }}
      />
    </div>
  );
}
