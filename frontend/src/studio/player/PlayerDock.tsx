import { Download, Pause, Play, X } from "lucide-react";
import { type KeyboardEvent, useEffect, useRef } from "react";
import { IconButton } from "@/shared/controls";
import { clock } from "@/shared/format";
import { Badge } from "@/shared/layout";
import { sentenceOf } from "@/shared/problems";
import { useTell } from "@/shared/toasts";
import { player as words } from "@/strings/player";
import { spaceIsFree, useMediaSession } from "./keys";
import { fileName, saveAudio } from "./links";
import styles from "./PlayerDock.module.css";
import { type PlayerState, sounds } from "./playback";
import { usePlayer, usePlayerState } from "./player";

const RATES = [0.75, 1, 1.25, 1.5, 2];

/** The player at the page's foot: it stays while pages change. */
export function PlayerDock() {
  const player = usePlayer();
  const state = usePlayerState();
  const tell = useTell();
  useSpace();
  useMediaSession();
  const { track } = state;
  if (!track) return null;
  const sounding = sounds(state);
  const save = async () => {
    try {
      const link = await player.link()?.();
      if (link) await saveAudio(link, fileName(track.title, track.about, link));
    } catch (error) {
      tell(sentenceOf(error, words.unavailable));
    }
  };
  return (
    <section className={styles.dock} aria-label={words.region}>
      <div className={styles.inside}>
        <IconButton
          kind="primary"
          label={sounding ? words.pause : words.play}
          aria-keyshortcuts="Space"
          onClick={() => player.toggle()}
        >
          {sounding ? <Pause size={18} aria-hidden="true" /> : <Play size={18} aria-hidden="true" />}
        </IconButton>
        <div className={styles.title}>
          <p className={styles.name}>
            <strong>{track.title}</strong>
            <Standing state={state} />
          </p>
          <p className={styles.about}>{state.problem ?? track.about}</p>
        </div>
        <Position state={state} />
        <div className={styles.tools}>
          <select
            className={styles.rate}
            aria-label={words.rate}
            title={words.rate}
            value={state.rate}
            onChange={(event) => player.setRate(Number(event.target.value))}
          >
            {RATES.map((rate) => (
              <option key={rate} value={rate}>
                {words.rates(rate)}
              </option>
            ))}
          </select>
          <IconButton label={words.download} disabled={!state.kept} onClick={() => void save()}>
            <Download size={18} aria-hidden="true" />
          </IconButton>
          <IconButton label={words.close} onClick={() => player.dismiss()}>
            <X size={18} aria-hidden="true" />
          </IconButton>
        </div>
      </div>
    </section>
  );
}

function Standing({ state }: { state: PlayerState }) {
  if (state.phase === "loading") return <Badge tone="info">{words.loading}</Badge>;
  if (state.phase === "waiting") return <Badge tone="info">{words.waiting}</Badge>;
  if (state.cut) return <Badge tone="warn">{words.cut}</Badge>;
  if (state.live) return <Badge tone="info">{words.live}</Badge>;
  return null;
}

function Position({ state }: { state: PlayerState }) {
  const player = usePlayer();
  const { positionS, endS } = state;
  const jump = (event: KeyboardEvent) => {
    const step = endS > 60 ? 5 : 1;
    const by = { ArrowLeft: -step, ArrowDown: -step, ArrowRight: step, ArrowUp: step }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    player.seek(positionS + by);
  };
  return (
    <div className={styles.position}>
      <span>{clock(positionS)}</span>
      <input
        type="range"
        min={0}
        max={endS || 1}
        step={0.01}
        value={Math.min(positionS, endS || 1)}
        disabled={endS === 0}
        aria-label={words.position}
        aria-valuetext={words.at(clock(positionS), clock(endS))}
        onChange={(event) => player.seek(Number(event.target.value))}
        onKeyDown={jump}
      />
      <span>{clock(endS)}</span>
    </div>
  );
}

/** Space plays and pauses wherever nothing else wants it. */
function useSpace(): void {
  const player = usePlayer();
  const latest = useRef(player);
  latest.current = player;
  useEffect(() => {
    const press = (event: globalThis.KeyboardEvent) => {
      if (event.key !== " " || event.repeat || !spaceIsFree(event)) return;
      if (!latest.current.snapshot().track) return;
      event.preventDefault();
      latest.current.toggle();
    };
    document.addEventListener("keydown", press);
    return () => document.removeEventListener("keydown", press);
  }, []);
}
