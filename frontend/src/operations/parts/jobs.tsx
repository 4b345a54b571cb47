import { useQueryClient } from "@tanstack/react-query";
import { CircleCheck, CircleSlash, CircleX, LoaderCircle, type LucideIcon } from "lucide-react";
import { type ReactNode, useEffect, useRef } from "react";
import { Button } from "@/shared/controls";
import { duration } from "@/shared/format";
import { Badge, Banner, Row, type Tone } from "@/shared/layout";
import { Time, useNow } from "@/shared/time";
import { jobs as strings } from "@/strings/jobs";
import { answered, guard, type Schemas } from "../api/client";
import { keys, useJobs } from "../api/queries";
import styles from "./jobs.module.css";
import { useOrder } from "./order";
import { whoOf } from "./who";

export type Job = Schemas["Job"];

const LOOKS: Record<Job["state"], { tone: Tone; icon: LucideIcon }> = {
  running: { tone: "info", icon: LoaderCircle },
  done: { tone: "pass", icon: CircleCheck },
  failed: { tone: "fail", icon: CircleX },
  stopped: { tone: "idle", icon: CircleSlash },
};

/** So many of the newest lines are shown; the others are folded. */
const SHOWN_LINES = 6;

/** What has ended is shown for so long; then its list alone says what it came to. */
const SHOWN_MS = 15 * 60_000;

/** Whether a job is worth a look: it runs, or it ended just now. */
export function isRecent(job: Job, now: Date): boolean {
  return job.ended_at === null || now.getTime() - Date.parse(job.ended_at) < SHOWN_MS;
}

/**
 * The newest job of these kinds, and whether it runs. When one has ended, what it `touches` is out of date:
 * the list that the new backup belongs to, the history that the drill's row belongs to.
 */
export function useNewestJob(
  kinds: readonly Job["kind"][],
  touches: readonly (readonly unknown[])[],
): { job: Job | null; running: boolean } {
  const { data } = useJobs();
  const queries = useQueryClient();
  const job = data?.jobs.find((one) => kinds.includes(one.kind) && isRecent(one, new Date())) ?? null;
  const running = job?.state === "running";
  const ran = useRef(false);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the keys are the same in every drawing of a page.
  useEffect(() => {
    if (ran.current && !running) {
      for (const queryKey of [...touches, keys.audit]) void queries.invalidateQueries({ queryKey });
    }
    ran.current = running;
  }, [running, queries]);
  return { job, running };
}

interface JobProps {
  job: Job;
  title: ReactNode;
  /** What stands below it when it has ended. */
  children?: ReactNode;
}

/** What a job says while it runs, read out as it comes; and what it has come to. */
export function JobProgress({ job, title, children }: JobProps) {
  const { tone, icon: Icon } = LOOKS[job.state];
  const stop = useOrder({
    title: strings.stopTitle,
    action: strings.stop,
    kind: "danger",
    reason: "optional",
    run: (reason) =>
      answered(
        guard.POST("/jobs/{id}/stop", {
          params: { path: { id: job.id } },
          body: { reason: reason || null },
        }),
      ),
    touches: [keys.jobs],
    done: strings.stopping,
  });
  const older = job.said.slice(0, -SHOWN_LINES);
  return (
    <section className={styles.job} data-state={job.state}>
      <div className={styles.head}>
        <div>
          <Row>
            <h3>{title}</h3>
            <Badge tone={tone}>
              <Icon
                size={14}
                aria-hidden="true"
                className={job.state === "running" ? styles.turning : undefined}
              />
              {strings.states[job.state]}
            </Badge>
          </Row>
          <p className={styles.about}>
            {strings.askedBy(whoOf(job.asked_by))}, <Time at={job.started_at} style="time" />,{" "}
            <Lasted job={job} />
          </p>
        </div>
        {job.state === "running" && (
          <Button small kind="danger" onClick={stop.ask}>
            {strings.stop}
          </Button>
        )}
      </div>
      {job.error && <Banner tone={job.state === "stopped" ? "warn" : "fail"}>{job.error}</Banner>}
      {older.length > 0 && (
        <details className={styles.older}>
          <summary>{strings.lines(job.said.length)}</summary>
          <Lines from={0} lines={older} />
        </details>
      )}
      <div role="log" aria-label={strings.progress}>
        {job.said.length === 0 && job.state === "running" && (
          <p className={styles.about}>{strings.starting}</p>
        )}
        <Lines from={older.length} lines={job.said.slice(-SHOWN_LINES)} />
      </div>
      {children}
      {stop.dialog}
    </section>
  );
}

function Lines({ from, lines }: { from: number; lines: readonly string[] }) {
  return (
    <ul className={styles.lines}>
      {lines.map((line, at) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: a line's number is what it is.
        <li key={from + at}>{line}</li>
      ))}
    </ul>
  );
}

function Lasted({ job }: { job: Job }) {
  const now = useNow();
  const end = job.ended_at === null ? now.getTime() : Date.parse(job.ended_at);
  const lasted = duration(Math.max(0, Math.round((end - Date.parse(job.started_at)) / 1000) * 1000));
  return job.ended_at === null ? strings.ran(lasted) : strings.took(lasted);
}
