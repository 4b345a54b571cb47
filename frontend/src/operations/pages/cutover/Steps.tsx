import { Check, CircleDashed, CircleDot, type LucideIcon, Undo2 } from "lucide-react";
import { Card, Spoken } from "@/shared/layout";
import { Time } from "@/shared/time";
import { cutover as strings } from "@/strings/cutover";
import styles from "./cutover.module.css";
import { type CutoverStatus, isOn, type Standing, type Step, stepsOf } from "./stages";

const ICONS: Record<Standing, LucideIcon> = {
  done: Check,
  now: CircleDot,
  left: Undo2,
  "to come": CircleDashed,
};

/** The stages as a stepper: which is in force since when, and what each asks before the next one. */
export function Steps({ status }: { status: CutoverStatus }) {
  return (
    <Card>
      <h2>{status.cutover === null ? strings.policyStages : strings.stages}</h2>
      <ol className={styles.steps}>
        {stepsOf(status).map((step) => (
          <StepOf key={step.number} step={step} status={status} />
        ))}
      </ol>
    </Card>
  );
}

function StepOf({ step, status }: { step: Step; status: CutoverStatus }) {
  const { stage, standing } = step;
  const Icon = ICONS[standing];
  const judged = status.judgement?.stage === step.number - 1 ? status.judgement : null;
  return (
    <li
      className={styles.step}
      data-standing={standing}
      aria-current={standing === "now" ? "step" : undefined}
    >
      <span className={styles.mark}>
        <Icon size={16} aria-hidden="true" />
      </span>
      <div className={styles.stepBody}>
        <p className={styles.share}>
          {stage.percent === 100 ? strings.everybody : strings.tenants(stage.percent)}
        </p>
        <p className={styles.standing}>
          {status.cutover === null ? (
            <Spoken>{strings.standing[standing]}</Spoken>
          ) : (
            strings.standing[standing]
          )}
          {step.since && (
            <>
              {", "}
              {standing === "now" ? strings.since : strings.began} <Time at={step.since} style="time" />
            </>
          )}
        </p>
        <p className={styles.soft}>{strings.wants(stage.hold_s, stage.clean_calls, stage.exclude_percent)}</p>
        {standing === "now" && isOn(status.cutover) && judged && (
          <>
            <progress
              className={styles.sample}
              max={Math.max(1, judged.needed)}
              value={Math.min(judged.candidate.total, judged.needed)}
              aria-label={strings.sampleBar}
            />
            <p className={styles.sampleText}>
              {judged.candidate.total >= judged.needed
                ? strings.sampleDone(judged.candidate.total)
                : strings.sample(judged.candidate.total, judged.needed)}
              {", "}
              {judged.hold_left_s > 0 ? strings.held(judged.hold_left_s) : strings.heldDone}
            </p>
          </>
        )}
      </div>
    </li>
  );
}
