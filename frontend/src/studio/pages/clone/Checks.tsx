import { CircleCheck, CircleX, TriangleAlert } from "lucide-react";
import { classes } from "@/shared/classes";
import { Spoken } from "@/shared/layout";
import { clone as words } from "@/strings/clone";
import styles from "./Clone.module.css";
import type { Check, Verdict } from "./checks";

const ICONS = { good: CircleCheck, warn: TriangleAlert, bad: CircleX } as const;
const ORDER: readonly Verdict[] = ["bad", "warn", "good"];

/** What was looked at before anything is sent, the worst first. */
export function Checks({ checks }: { checks: readonly Check[] }) {
  const sorted = [...checks].sort((a, b) => ORDER.indexOf(a.verdict) - ORDER.indexOf(b.verdict));
  return (
    <div>
      <h3>{words.checksTitle}</h3>
      <ul className={styles.checks} aria-live="polite">
        {sorted.map(({ key, verdict, sentence }) => {
          const Icon = ICONS[verdict];
          return (
            <li key={key} className={classes(styles.check, styles[verdict])}>
              <Icon size={18} aria-hidden="true" />
              <span>
                <Spoken>{`${words.verdicts[verdict]}: `}</Spoken>
                {sentence}
              </span>
            </li>
          );
        })}
      </ul>
    </div>
  );
}
