import { CircleCheck, Hourglass } from "lucide-react";
import { Banner, Card, Stack } from "@/shared/layout";
import { Ago } from "@/shared/time";
import { cutover as strings } from "@/strings/cutover";
import styles from "./cutover.module.css";
import { type CutoverStatus, plainly } from "./stages";

/** What is still missing, in words; and what brings everybody back, if anything does. */
export function Gate({ status }: { status: CutoverStatus }) {
  const { judgement, cutover, stages, may } = status;
  const last = cutover !== null && cutover.stage + 1 >= stages.length;
  const current = judgement !== null && judgement.stage === cutover?.stage ? judgement : null;
  return (
    <Card>
      <Stack>
        <h2>{last ? strings.gateLast : strings.gate}</h2>
        {current === null ? (
          <p className={styles.soft}>{strings.notJudged}</p>
        ) : (
          <>
            {current.failing.length > 0 && (
              <Banner tone="fail" urgent>
                {strings.failing(current.failing.join(", "))}
              </Banner>
            )}
            {current.waiting.length > 0 ? (
              <ul className={styles.waiting}>
                {current.waiting.map((sentence) => (
                  <li key={sentence}>
                    <Hourglass size={16} aria-hidden="true" />
                    <span>{plainly(sentence)}</span>
                  </li>
                ))}
              </ul>
            ) : (
              <p className={styles.ready}>
                <CircleCheck size={18} aria-hidden="true" />
                <span>{may.next && !last ? strings.readyBlocked(plainly(may.next)) : strings.ready}</span>
              </p>
            )}
            {current.left_behind > 0 && (
              <Banner tone="warn">{strings.leftBehind(current.left_behind)}</Banner>
            )}
            <p className={styles.soft}>
              {strings.hidden(current.hidden_percent)} {strings.judgedAt} <Ago at={current.at} />.
            </p>
          </>
        )}
      </Stack>
    </Card>
  );
}
