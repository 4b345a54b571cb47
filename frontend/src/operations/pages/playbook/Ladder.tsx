import { Clock, Undo2, Users } from "lucide-react";
import { Card } from "@/shared/layout";
import { MarkdownLine } from "@/shared/markdownView";
import { playbook as strings } from "@/strings/playbook";
import styles from "./playbook.module.css";
import type { Rung } from "./policy";

/** What the engine does, cheapest first: how long each step may take, and who must agree. */
export function Ladder({ ladder }: { ladder: readonly Rung[] }) {
  return (
    <Card>
      <p className={styles.soft}>{strings.ladderAbout}</p>
      <ol className={styles.ladder}>
        {ladder.map((rung) => (
          <li key={rung.action} className={styles.rung} data-rung={rung.rung}>
            <span className={styles.rungMark}>{strings.rung(rung.rung)}</span>
            <div className={styles.rungBody}>
              <h3 id={rung.action} tabIndex={-1}>
                {rung.title}
              </h3>
              <ul className={styles.terms}>
                <li>
                  <Clock size={14} aria-hidden="true" /> {strings.timeBox(rung.timeBoxS)}
                </li>
                <li>
                  <Users size={14} aria-hidden="true" /> {strings.approvals(rung.approvals)}
                </li>
                <li>
                  <Undo2 size={14} aria-hidden="true" />{" "}
                  {rung.rollbackType === null ? strings.nothingBack : strings.rollsBack(rung.rollbackType)}
                </li>
              </ul>
              <ol className={styles.boxes} aria-label={strings.stepsOf(rung.title)}>
                {rung.steps.map((step) => (
                  <li key={step.name}>
                    <span>{step.name.replaceAll("_", " ")}</span>
                    <span className={styles.box}>{strings.seconds(step.withinS)}</span>
                  </li>
                ))}
              </ol>
              {rung.byHand && (
                <details className={styles.fold}>
                  <summary>{strings.byHand}</summary>
                  <p className={styles.byHand}>
                    <MarkdownLine text={rung.byHand} />
                  </p>
                </details>
              )}
            </div>
          </li>
        ))}
      </ol>
    </Card>
  );
}
