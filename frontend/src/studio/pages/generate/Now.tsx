import { X } from "lucide-react";
import { useEffect } from "react";
import { Link } from "react-router";
import { IconButton } from "@/shared/controls";
import { clock } from "@/shared/format";
import { Badge, Card } from "@/shared/layout";
import { sentenceOf } from "@/shared/problems";
import { Ago, useNow } from "@/shared/time";
import { useTell } from "@/shared/toasts";
import { common } from "@/strings/common";
import { generate as words } from "@/strings/generate";
import type { Schemas } from "../../api/client";
import { useDeleting } from "../../deleting";
import { paths } from "../../paths";
import { audioLink } from "../../player/links";
import { PlayButton } from "../../player/PlayButton";
import { Download } from "../../speaking/Download";
import { plainly } from "../../speaking/plainly";
import { isUnderWay } from "../../speaking/run";
import { useSpeeches } from "../../speaking/speaking";
import { cancelTask, isOver, type Task } from "../../speaking/speech";
import { trackOf } from "../../speaking/speeches";
import { TONES } from "../../speaking/tones";
import styles from "./Now.module.css";
import { useFollow, useNewest, useTasks } from "./queries";

const SHOWN = 6;
const LOOKED_AT = 30;

/** What is under way or has just ended, wherever it was begun: a reload loses sight of nothing. */
export function Now() {
  const { run } = useSpeeches();
  const tasks = useTasks().data ?? [];
  const { data: newest, refetch } = useNewest();
  const { gone } = useDeleting();
  const recent = tasks.filter(({ id }) => id !== run?.taskId).slice(0, LOOKED_AT);
  // What was begun elsewhere is not among them before they are asked for anew.
  const unknown = newest
    ? recent
        .flatMap(({ generation_id: id }) => (id && !newest.some((one) => one.id === id) ? [id] : []))
        .join()
    : "";
  useEffect(() => {
    if (unknown !== "") void refetch();
  }, [unknown, refetch]);
  if (!newest) return null;
  // A task outlives the speech that was deleted.
  const shown = recent
    .map((task) => ({ task, made: newest.find(({ id }) => id === task.generation_id) }))
    .filter(({ task, made }) => (made ? !gone.has(made.id) : !isOver(task.status)))
    .slice(0, SHOWN);
  if (shown.length === 0) return null;
  return (
    <Card>
      <div className={styles.head}>
        <h2>{words.now}</h2>
        <Link to={paths.history}>{words.history}</Link>
      </div>
      <p className={styles.about}>{words.nowAbout}</p>
      <ul className={styles.list}>
        {shown.map(({ task, made }) => (
          <Row key={task.id} task={task} made={made} />
        ))}
      </ul>
    </Card>
  );
}

function Row({ task, made }: { task: Task; made: Schemas["Generation"] | undefined }) {
  useFollow(task);
  const { run } = useSpeeches();
  const tell = useTell();
  const text = made?.text ?? words.untitled;
  const voiceName = made?.voice_name ?? words.deletedVoice;
  const id = task.generation_id;
  const cancel = () => {
    cancelTask(task.id).catch((error: unknown) => tell(sentenceOf(error, common.failed)));
  };
  // The task of a stream that is just coming to this very page is told of above.
  if (task.delivery === "stream" && !isOver(task.status) && isUnderWay(run) && run.taskId === null)
    return null;
  return (
    <li className={styles.row}>
      <div className={styles.words}>
        <p className={styles.text}>{text}</p>
        <p className={styles.facts}>
          {made && <>{voiceName} · </>}
          <Ago at={task.completed_at ?? task.created_at} />
          {!isOver(task.status) && <Elapsed since={task.created_at} />}
        </p>
        {task.status === "failed" && task.error && <p className={styles.problem}>{plainly(task.error)}</p>}
      </div>
      <Badge tone={TONES[task.status]}>
        {!isOver(task.status) && task.delivery === "stream" ? words.live : words.statuses[task.status]}
      </Badge>
      <div className={styles.actions}>
        {!isOver(task.status) && (
          <IconButton small label={words.cancelOf(text)} onClick={cancel}>
            <X size={16} aria-hidden="true" />
          </IconButton>
        )}
        {task.status === "completed" && id && made?.audio_path && (
          <>
            <PlayButton
              small
              track={trackOf(id, voiceName, text)}
              link={() => audioLink(id)}
              label={words.play(text)}
              pauseLabel={words.pause(text)}
            />
            <Download generationId={id} voiceName={voiceName} text={text} label={words.download(text)} />
          </>
        )}
      </div>
      {!isOver(task.status) && <progress className={styles.progress} aria-label={words.progress} />}
    </li>
  );
}

function Elapsed({ since }: { since: string }) {
  const seconds = (useNow().getTime() - new Date(since).getTime()) / 1000;
  return <> · {words.soFar(clock(seconds))}</>;
}
