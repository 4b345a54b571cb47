import {
  ChevronRight,
  CircleCheck,
  CircleDashed,
  CircleDot,
  CircleX,
  Hand,
  LoaderCircle,
  type LucideIcon,
} from "lucide-react";
import { useId, useState } from "react";
import { classes } from "@/shared/classes";
import { Hash } from "@/shared/copying";
import { Evidence } from "@/shared/evidenceView";
import { duration } from "@/shared/format";
import { MarkdownLine } from "@/shared/markdownView";
import { Time } from "@/shared/time";
import { incidents as strings } from "@/strings/incidents";
import { actionNamed } from "./listing";
import { wholeSeconds } from "./points";
import { useGuardNow } from "./queries";
import { type Entry, intentOf, personOf, type StoryLine, timeBoxOf, wordOf } from "./story";
import styles from "./story.module.css";

const SHAPES: Record<StoryLine["state"], LucideIcon> = {
  running: LoaderCircle,
  done: CircleCheck,
  failed: CircleX,
  waiting: Hand,
  told: CircleDot,
  "to come": CircleDashed,
};

interface Props {
  line: StoryLine;
  onset: string | null;
  journal: readonly Entry[];
}

/** One line of the story. It opens to what it rests on. */
export function Line({ line, onset, journal }: Props) {
  const [open, setOpen] = useState(false);
  const id = useId();
  const Shape = SHAPES[line.state];
  const head = (
    <>
      <span className={styles.said}>
        <strong className={styles.word}>{wordOf(line)}</strong>
        <span>{line.kind === "page" ? <MarkdownLine text={line.text} /> : line.text}</span>
      </span>
      {line.state === "running" ? (
        <Elapsed line={line} journal={journal} />
      ) : (
        line.took_ms !== null && (
          <span className={styles.took}>{strings.story.took(duration(line.took_ms))}</span>
        )
      )}
    </>
  );
  return (
    <li
      className={classes(styles.line, styles[line.state.replace(" ", "_")])}
      data-seq={line.seq ?? undefined}
    >
      <span className={styles.when}>
        <Since at={line.at} onset={onset} />
      </span>
      <Shape size={18} className={styles.shape} aria-hidden="true" />
      {line.seq === null ? (
        <div className={styles.head}>{head}</div>
      ) : (
        <button
          type="button"
          className={styles.head}
          aria-expanded={open}
          aria-controls={id}
          onClick={() => setOpen(!open)}
        >
          {head}
          <ChevronRight size={16} className={styles.chevron} aria-hidden="true" />
        </button>
      )}
      {open && line.seq !== null && (
        <div id={id} className={styles.behind}>
          <Behind line={line} journal={journal} />
        </div>
      )}
    </li>
  );
}

function Since({ at, onset }: { at: string | null; onset: string | null }) {
  if (at === null) return null;
  if (onset === null) return <Time at={at} style="time" />;
  const ms = Date.parse(at) - Date.parse(onset);
  return (
    <>
      <span className={styles.since}>{`T${ms < 0 ? "−" : "+"}${duration(Math.abs(ms))}`}</span>
      <span className={styles.clock}>
        <Time at={at} style="time" />
      </span>
    </>
  );
}

function Elapsed({ line, journal }: { line: StoryLine; journal: readonly Entry[] }) {
  const now = useGuardNow();
  const spentMs = Math.max(0, now.getTime() - Date.parse(line.at ?? now.toISOString()));
  const boxS = timeBoxOf(intentOf(line, journal));
  const spent = wholeSeconds(spentMs);
  const box = boxS === null ? null : wholeSeconds(boxS * 1000);
  const late = boxS !== null && box !== null && spentMs > boxS * 1000;
  return (
    <span className={classes(styles.took, styles.elapsed)}>
      {late && box !== null ? strings.story.overdue(spent, box) : strings.story.running(spent, box)}
    </span>
  );
}

function Behind({ line, journal }: { line: StoryLine; journal: readonly Entry[] }) {
  const entry = journal.find((one) => one.seq === line.seq) ?? null;
  const intent = intentOf(line, journal);
  const evidence = line.evidence ?? entry?.body ?? null;
  const planned = line.kind === "outcome" ? intent?.body.plan : undefined;
  return (
    <>
      {line.action !== null && line.step !== null && (
        <p className={styles.soft}>{strings.story.ofAction(actionNamed(line.action))}</p>
      )}
      {line.more && <p className={styles.soft}>{line.more}</p>}
      {isDocument(planned) && (
        <section>
          <h3>{strings.story.intent}</h3>
          <Evidence document={planned} />
        </section>
      )}
      <section>
        <h3>{line.kind === "intent" ? strings.story.intent : strings.story.evidence}</h3>
        {evidence && Object.keys(evidence).length > 0 ? (
          <Evidence document={evidence} whole />
        ) : (
          <p className={styles.soft}>{strings.story.noEvidence}</p>
        )}
      </section>
      <section>
        <h3>{strings.story.audit}</h3>
        <dl className={styles.audit}>
          <Fact name={strings.story.by}>{line.actor ? personOf(line.actor) : ""}</Fact>
          <Fact name={strings.story.entry}>{String(line.seq)}</Fact>
          {line.kind === "outcome" && intent && (
            <Fact name={strings.story.intentEntry}>{String(intent.seq)}</Fact>
          )}
          {line.evidence_sha256 && (
            <Fact name={strings.story.evidenceHash}>
              <Hash value={line.evidence_sha256} label={strings.story.evidenceHashLabel} />
            </Fact>
          )}
          {line.hash && (
            <Fact name={strings.story.hash}>
              <Hash value={line.hash} label={strings.story.hash} />
            </Fact>
          )}
          {entry && (
            <Fact name={strings.story.previous}>
              <Hash value={entry.prev_hash} label={strings.story.previousLabel} />
            </Fact>
          )}
        </dl>
      </section>
    </>
  );
}

function Fact({ name, children }: { name: string; children: React.ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function isDocument(value: unknown): value is Record<string, unknown> {
  return (
    typeof value === "object" && value !== null && !Array.isArray(value) && Object.keys(value).length > 0
  );
}
