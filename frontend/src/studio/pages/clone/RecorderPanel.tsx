import { FileAudio, Mic, Square } from "lucide-react";
import { type DragEvent, useEffect, useRef, useState } from "react";
import { classes } from "@/shared/classes";
import { Button } from "@/shared/controls";
import { clock } from "@/shared/format";
import { Banner, Spoken } from "@/shared/layout";
import { clone as words } from "@/strings/clone";
import styles from "./Clone.module.css";
import { ACCEPT, LONGEST_S } from "./formats";
import { microphoneProblem } from "./microphone";
import { type Recorded, Recorder } from "./recorder";

/** So soon, somebody who is not heard should know. */
const SILENT_AFTER_S = 3;
const HEARD = 0.25;

interface RecorderPanelProps {
  transcript: string;
  /** There is a recording already: these ways lead to another one. */
  has: boolean;
  disabled: boolean;
  onTake: (file: Blob, name: string) => void;
  onProblem: (problem: string) => void;
}

type State = "idle" | "asking" | "recording";

/** Three ways to a recording: the microphone, a file, or a file that is dropped here. */
export function RecorderPanel({ transcript, has, disabled, onTake, onProblem }: RecorderPanelProps) {
  const [state, setState] = useState<State>("idle");
  const [over, setOver] = useState(false);
  const [note, setNote] = useState<string | null>(null);
  const recorder = useRef<Recorder | null>(null);
  const gone = useRef(false);
  const picker = useRef<HTMLInputElement>(null);
  useEffect(() => {
    gone.current = false;
    return () => {
      gone.current = true;
      recorder.current?.stop();
    };
  }, []);

  const ended = ({ blob, because }: Recorded) => {
    recorder.current = null;
    if (gone.current) return;
    setState("idle");
    if (blob.size === 0) onProblem(words.because.empty);
    else onTake(blob, words.madeHere);
    setNote(
      because === "longest"
        ? words.because.longest(LONGEST_S)
        : because === "unplugged"
          ? words.because.unplugged
          : null,
    );
  };

  const record = async () => {
    if (state === "recording") {
      recorder.current?.stop();
      return;
    }
    setNote(null);
    onProblem("");
    setState("asking");
    try {
      const started = await Recorder.start(ended);
      // The page was left while the browser asked.
      if (gone.current) {
        started.stop();
        return;
      }
      recorder.current = started;
      setState("recording");
    } catch (error) {
      setState("idle");
      onProblem(microphoneProblem(error));
    }
  };

  const takeFiles = (files: FileList | null) => {
    const file = files?.[0];
    if (!file) return;
    setNote((files?.length ?? 0) > 1 ? words.oneFile : null);
    onTake(file, file.name);
  };

  const drop = (event: DragEvent) => {
    event.preventDefault();
    setOver(false);
    if (!disabled && state === "idle") takeFiles(event.dataTransfer.files);
  };

  const busy = disabled || state === "recording";
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: dropping is one more way; the buttons inside are for everybody.
    <div
      className={classes(styles.dropzone, over && styles.over)}
      onDragOver={(event) => {
        event.preventDefault();
        if (!busy) setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={drop}
    >
      {state === "recording" && transcript.trim() !== "" && (
        <div className={styles.prompt}>
          <h3>{words.readAloud}</h3>
          <p>{transcript}</p>
        </div>
      )}
      {state === "recording" && recorder.current && <Meter recorder={recorder.current} />}
      <div className={styles.ways}>
        <Button
          kind={state === "recording" ? "danger" : "plain"}
          busy={state === "asking"}
          disabled={disabled}
          onClick={() => void record()}
        >
          {state === "recording" ? (
            <Square size={16} aria-hidden="true" />
          ) : (
            state === "idle" && <Mic size={16} aria-hidden="true" />
          )}
          {state === "recording" ? words.stop : has ? words.recordAgain : words.record}
        </Button>
        {state !== "recording" && (
          <Button disabled={disabled} onClick={() => picker.current?.click()}>
            <FileAudio size={16} aria-hidden="true" />
            {has ? words.chooseAnother : words.choose}
          </Button>
        )}
        <input
          ref={picker}
          type="file"
          hidden
          accept={ACCEPT}
          aria-label={words.choose}
          onChange={(event) => {
            takeFiles(event.target.files);
            // The same file again is a choice as well.
            event.target.value = "";
          }}
        />
      </div>
      <div className={styles.said}>
        {state !== "recording" && (
          <p className={styles.quiet}>
            {state === "asking" ? words.asking : over ? words.dropNow : words.drop}
          </p>
        )}
        <div role="status">
          {state === "recording" && <Spoken>{words.recordingNow}</Spoken>}
          {note !== null && <Banner tone="warn">{note}</Banner>}
        </div>
      </div>
    </div>
  );
}

/** Time and level while it records; drawn without React, as often as the screen is. */
function Meter({ recorder }: { recorder: Recorder }) {
  const bar = useRef<HTMLSpanElement>(null);
  const [seconds, setSeconds] = useState(0);
  const [level, setLevel] = useState(0);
  const [heard, setHeard] = useState(false);
  useEffect(() => {
    let frame = 0;
    let shown = 0;
    let second = -1;
    const draw = () => {
      const now = recorder.level();
      // Up at once and down slowly, as a needle.
      shown = Math.max(now, shown - 0.02);
      if (bar.current) bar.current.style.transform = `scaleX(${shown.toFixed(3)})`;
      if (now > HEARD) setHeard(true);
      const whole = Math.floor((performance.now() - recorder.startedAt) / 1000);
      if (whole !== second) {
        second = whole;
        setSeconds(whole);
        setLevel(shown);
      }
      frame = requestAnimationFrame(draw);
    };
    draw();
    return () => cancelAnimationFrame(frame);
  }, [recorder]);
  return (
    <div className={styles.meter}>
      <p className={styles.clock}>
        <span className={styles.dot} aria-hidden="true" />
        {words.recordingNow}
        <span className={styles.time}>{words.timeOf(clock(seconds), clock(LONGEST_S))}</span>
      </p>
      {/* biome-ignore lint/a11y/useSemanticElements: a meter element is drawn by the browser, and not sixty times a second. */}
      <div
        className={styles.level}
        role="meter"
        aria-label={words.level}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={Math.round(level * 100)}
        aria-valuetext={levelWord(level)}
      >
        <span ref={bar} />
      </div>
      <p className={styles.quiet} aria-live="polite">
        {!heard && recorder.measures && seconds >= SILENT_AFTER_S && words.hearNothing}
      </p>
    </div>
  );
}

function levelWord(level: number): string {
  if (level < HEARD) return words.levels.none;
  if (level < 0.5) return words.levels.low;
  return level > 0.99 ? words.levels.high : words.levels.good;
}
