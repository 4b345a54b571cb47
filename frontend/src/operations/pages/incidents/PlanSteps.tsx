import { Eye, PencilLine } from "lucide-react";
import { Evidence } from "@/shared/evidenceView";
import { Badge } from "@/shared/layout";
import { incidents as strings } from "@/strings/incidents";
import styles from "./approval.module.css";
import type { Plan } from "./permitted";
import { wholeSeconds } from "./points";

/** What a plan would do, step by step, and whether a step changes anything. */
export function PlanSteps({ plan, words }: { plan: Plan; words: ReadonlyMap<string, string> }) {
  return (
    <>
      <h3>{strings.plan.steps}</h3>
      <ol className={styles.steps}>
        {plan.plan.map((step, at) => (
          <li key={step.step} className={styles.step}>
            <div className={styles.stepHead}>
              <span className={styles.number}>{at + 1}</span>
              <strong className={styles.what}>
                {words.get(step.step) ?? step.step.replaceAll("_", " ")}
              </strong>
              <Badge tone={step.changes ? "warn" : "idle"}>
                {step.changes ? (
                  <PencilLine size={13} aria-hidden="true" />
                ) : (
                  <Eye size={13} aria-hidden="true" />
                )}
                {step.changes ? strings.plan.changes : strings.plan.looks}
              </Badge>
              <code className={styles.soft}>{step.step}</code>
              <span className={styles.soft}>{strings.plan.within(wholeSeconds(step.time_box_s * 1000))}</span>
            </div>
            {Object.keys(step.plan).length > 0 ? (
              <Evidence document={step.plan} />
            ) : (
              <p className={styles.soft}>{strings.plan.nothing}</p>
            )}
          </li>
        ))}
      </ol>
    </>
  );
}
