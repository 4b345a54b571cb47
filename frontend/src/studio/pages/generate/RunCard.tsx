import { Check, CircleAlert, CircleSlash } from "lucide-react";
import { Button, Spinner } from "@/shared/controls";
import { duration } from "@/shared/format";
import { Banner, Card, Row, Stack } from "@/shared/layout";
import { useNow } from "@/shared/time";
import { common } from "@/strings/common";
import { generate as words } from "@/strings/generate";
import { useLanguages } from "../../api/queries";
import { audioLink } from "../../player/links";
import { usePlayer, usePlaying } from "../../player/player";
import { Download } from "../../speaking/Download";
import { isOfProvider, plainly } from "../../speaking/plainly";
import { isUnderWay, type Problem, type Run } from "../../speaking/run";
import { useSpeeches } from "../../speaking/speaking";
import { trackOf } from "../../speaking/speeches";
import { shareOf, usualSeconds } from "./estimate";
import { useNewest } from "./queries";
import styles from "./RunCard.module.css";
import { secondsUntil, wholeSeconds } from "./readiness";

/** What becomes of the last press of the button. */
export function RunCard() {
  const { run, speeches } = useSpeeches();
  return (
    <div aria-live="polite" className={styles.place}>
      {run && (
        <Card>
          <Stack>
            {run.fellBack && run.phase !== "failed" && <Banner>{words.fellBack}</Banner>}
            <div className={styles.head}>
              <Sign run={run} />
              <div className={styles.words}>
                <h2 className={styles.phase}>{phaseOf(run)}</h2>
                <p className={styles.about}>
                  {run.voiceName}: {run.order.text}
                </p>
              </div>
              {run.phase === "done" && run.generationId && <Ready run={run} id={run.generationId} />}
              {!isUnderWay(run) && run.phase !== "done" && (
                <Dismiss until={run.problem?.retryAt ?? null} onDismiss={() => speeches.dismiss()} />
              )}
            </div>
            {run.problem && (
              <Banner tone="fail" urgent>
                {said(run.problem)}
              </Banner>
            )}
            {run.problem && !run.problem.unknown && isOfProvider(run.problem.sentence) && (
              <p className={styles.facts}>{words.reported(run.problem.sentence)}</p>
            )}
            <Progress run={run} />
          </Stack>
        </Card>
      )}
    </div>
  );
}

function said(problem: Problem): string {
  return problem.unknown ? words.unknown : plainly(problem.sentence);
}

/** What says how long to wait stays until then. */
function Dismiss({ until, onDismiss }: { until: number | null; onDismiss: () => void }) {
  if (secondsUntil(until, useNow().getTime()) > 0) return null;
  return (
    <Button small kind="quiet" onClick={onDismiss}>
      {common.dismiss}
    </Button>
  );
}

function phaseOf(run: Run): string {
  if (run.cancelling) return words.cancelling;
  if (run.phase === "making" && run.taskStatus === "pending") return words.queued;
  return words.phases[run.phase];
}

function Sign({ run }: { run: Run }) {
  if (isUnderWay(run)) return <Spinner />;
  if (run.phase === "done") return <Check className={styles.done} size={20} aria-hidden="true" />;
  if (run.phase === "failed") return <CircleAlert className={styles.failed} size={20} aria-hidden="true" />;
  return <CircleSlash size={20} aria-hidden="true" />;
}

function Ready({ run, id }: { run: Run; id: string }) {
  const player = usePlayer();
  const track = trackOf(id, run.voiceName, run.order.text);
  const playing = usePlaying(track.key);
  return (
    <Row>
      <Button
        small
        busy={playing === "loading"}
        onClick={() => player.playFromStart(track, () => audioLink(id))}
      >
        {words.playAgain}
      </Button>
      <Download generationId={id} voiceName={run.voiceName} text={run.order.text} />
    </Row>
  );
}

function Progress({ run }: { run: Run }) {
  const now = useNow().getTime();
  const provider = useLanguages().data?.provider ?? null;
  const made = useNewest().data ?? [];
  const facts: string[] = [];
  const elapsedMs = Math.max(0, now - run.startedAt);
  const usual = run.phase === "making" ? usualSeconds(run.order.text, provider, made) : null;
  if (isUnderWay(run) && run.firstSoundMs === null) facts.push(words.soFar(wholeSeconds(elapsedMs)));
  if (run.firstSoundMs !== null) facts.push(words.firstSound(duration(run.firstSoundMs)));
  if (usual !== null) facts.push(words.usually(wholeSeconds(usual * 1000)));
  if (run.phase === "making" && run.estimatedMinutes !== null) {
    facts.push(words.speechLength(run.estimatedMinutes));
  }
  const share = shareOf(elapsedMs / 1000, usual);
  return (
    <>
      {run.phase === "making" && (
        <progress
          className={styles.progress}
          aria-label={words.progress}
          {...(share === null ? {} : { value: share, max: 1 })}
        />
      )}
      {facts.length > 0 && (
        <p className={styles.facts} aria-live="off">
          {facts.join(" · ")}
        </p>
      )}
      {run.phase === "cancelled" && <p className={styles.facts}>{words.cancelledHelp}</p>}
    </>
  );
}
