import { Undo2 } from "lucide-react";
import { useState } from "react";
import { Button, TextAreaField } from "@/shared/controls";
import { Banner, Stack } from "@/shared/layout";
import { cutover as strings } from "@/strings/cutover";
import { answered, guard } from "../../api/client";
import { keys } from "../../api/queries";
import { useOrder, useWhyNot } from "../../parts/order";
import styles from "./cutover.module.css";
import { type CutoverStatus, plainly } from "./stages";

const said = strings.orders;
const touches = [keys.cutover, keys.status, keys.audit];

interface Props {
  /** Null while it cannot be read: back may be asked for all the same. */
  status: CutoverStatus | null;
  knownGood: string | null;
}

/** What may be ordered now. It stays in sight, and back is always among it. */
export function Orders({ status, knownGood }: Props) {
  const mayNot = useWhyNot();
  const back = useOrder({
    title: said.returnTitle,
    action: said.return,
    kind: "danger",
    about: <p>{status === null ? said.returnUnknown : said.returnAbout(knownGood)}</p>,
    run: (reason) => answered(guard.POST("/cutover/return", { body: { reason } })),
    touches,
    done: ({ returned }) => (returned ? said.done.returned : said.done.nothing),
  });
  const pause = useOrder({
    title: said.pause,
    action: said.pause,
    about: <p>{said.pauseAbout}</p>,
    run: (reason) => answered(guard.POST("/cutover/pause", { body: { reason } })),
    touches,
    done: (now) => said.done.pause + behind(now.not_in_force_on),
  });
  const resume = useOrder({
    title: said.resume,
    action: said.resume,
    about: <p>{said.resumeAbout}</p>,
    run: (reason) => answered(guard.POST("/cutover/resume", { body: { reason } })),
    touches,
    done: (now) => said.done.resume + behind(now.not_in_force_on),
  });
  const next = useNext(status);
  const paused = status?.cutover?.state === "paused";
  const notNext = mayNot ?? status?.may.next ?? null;
  const notResume = mayNot ?? status?.may.resume ?? null;
  const notPause = status?.may.pause ?? null;
  const last = status?.cutover != null && status.cutover.stage + 1 >= status.stages.length;
  return (
    <section className={styles.orders} aria-label={said.label}>
      <div className={styles.buttons}>
        <Button kind="danger" onClick={back.ask} className={styles.back}>
          <Undo2 size={16} aria-hidden="true" />
          {said.return}
        </Button>
        {status && (
          <>
            {paused ? (
              <Button disabled={notResume !== null} title={notResume ?? undefined} onClick={resume.ask}>
                {said.resume}
              </Button>
            ) : (
              <Button disabled={notPause !== null} title={notPause ?? undefined} onClick={pause.ask}>
                {said.pause}
              </Button>
            )}
            {!last && !paused && (
              <Button
                kind="primary"
                disabled={notNext !== null}
                title={notNext ?? undefined}
                onClick={next.ask}
              >
                {next.label}
              </Button>
            )}
          </>
        )}
      </div>
      {status && !last && !paused && notNext && (
        <p className={styles.whyNot}>{said.why(next.label, plainly(notNext))}</p>
      )}
      {status && paused && notResume && (
        <p className={styles.whyNot}>{said.why(said.resume, plainly(notResume))}</p>
      )}
      {back.dialog}
      {pause.dialog}
      {resume.dialog}
      {next.dialog}
    </section>
  );
}

/** The next stage; the last one asks why tenants may be left behind, where it would leave any. */
function useNext(status: CutoverStatus | null) {
  const [behindWhy, setBehindWhy] = useState("");
  const [missing, setMissing] = useState(false);
  const { cutover = null, stages = [], judgement = null } = status ?? {};
  const percent = stages[(cutover?.stage ?? -1) + 1]?.percent ?? 100;
  const label = percent === 100 ? said.nextEverybody : said.next;
  const left = judgement?.left_behind ?? 0;
  const asks = percent === 100 && left > 0;
  const order = useOrder({
    title: said.nextTitle(percent),
    action: label,
    about: (
      <Stack>
        <p>{said.nextAbout(percent, cutover?.candidate ?? "")}</p>
        {asks && (
          <>
            <Banner tone="warn">{strings.leftBehind(left)}</Banner>
            <TextAreaField
              label={said.leaveBehind}
              hint={said.leaveBehindHint}
              error={missing && behindWhy.trim() === "" ? said.leaveBehindMissing : null}
              value={behindWhy}
              rows={2}
              maxLength={500}
              onChange={(event) => setBehindWhy(event.target.value)}
            />
          </>
        )}
      </Stack>
    ),
    // Without the word the guard refuses, and says so in the dialog; nothing is guarded here alone.
    run: (reason) => {
      const why = behindWhy.trim();
      setMissing(asks && why === "");
      return answered(
        guard.POST("/cutover/next", {
          body: { reason, leave_behind: asks && why !== "" ? why : null },
        }),
      );
    },
    touches,
    done: (now) => said.done.next + behind(now.not_in_force_on),
  });
  const ask = () => {
    setBehindWhy("");
    setMissing(false);
    order.ask();
  };
  return { ...order, ask, label };
}

function behind(processes: readonly string[]): string {
  return processes.length === 0 ? "" : said.behind(processes.length);
}
