import { Pause, Play } from "lucide-react";
import { useEffect, useMemo, useRef, useState } from "react";
import WaveSurfer from "wavesurfer.js";
import RegionsPlugin, { type Region } from "wavesurfer.js/plugins/regions";
import { colour, onColours } from "@/shared/colours";
import { Button } from "@/shared/controls";
import { clock } from "@/shared/format";
import { cspNonce } from "@/shared/nonce";
import { clone as words } from "@/strings/clone";
import { usePlayer } from "../../player/player";
import styles from "./Clone.module.css";
import { peaksOf } from "./measuring";
import { isWhole, type Part, type Recording } from "./recording";
import { isTyped } from "./typing";
import { encodeWav } from "./wav";

const HEIGHT = 112;
const PEAKS = 800;
const HANDLE_PX = 24;
export const SHORTEST_PART_S = 0.5;

interface WaveformProps {
  recording: Recording;
  part: Part;
  onPart: (part: Part) => void;
  disabled: boolean;
}

function colours() {
  return {
    waveColor: colour("--line-strong"),
    progressColor: colour("--accent"),
    cursorColor: colour("--ink"),
  };
}

/** The handles as they come are thin, and black in every scheme. */
function dressHandles(region: Region | null): void {
  for (const handle of region?.element?.querySelectorAll<HTMLElement>('[part~="region-handle"]') ?? []) {
    const left = handle.getAttribute("part")?.includes("left");
    handle.style.width = `${HANDLE_PX}px`;
    handle.style[left ? "borderLeft" : "borderRight"] = `4px solid ${colour("--accent")}`;
  }
}

/** The recording to look at and to listen to, with the part of it that is used; handles drag, fields type. */
export default function Waveform({ recording, part, onPart, disabled }: WaveformProps) {
  const container = useRef<HTMLDivElement>(null);
  const surfer = useRef<WaveSurfer | null>(null);
  const region = useRef<Region | null>(null);
  const [playing, setPlaying] = useState(false);
  const [at, setAt] = useState(0);
  const player = usePlayer();
  const latest = useRef({ part, onPart });
  latest.current = { part, onPart };
  const { durationS } = recording;

  useEffect(() => {
    if (!container.current) return;
    // The samples, not the file: what is heard is what is sent, and it can be sought in.
    const url = URL.createObjectURL(encodeWav(recording.samples));
    const media = new Audio(url);
    const regions = RegionsPlugin.create();
    const wave = WaveSurfer.create({
      container: container.current,
      media,
      peaks: [peaksOf(recording.samples, PEAKS)],
      duration: recording.durationS,
      height: HEIGHT,
      barWidth: 2,
      barGap: 1,
      barRadius: 2,
      normalize: true,
      dragToSeek: false,
      hideScrollbar: true,
      cspNonce: cspNonce(),
      plugins: [regions],
      ...colours(),
    });
    const stops = [
      wave.on("play", () => setPlaying(true)),
      wave.on("pause", () => setPlaying(false)),
      wave.on("finish", () => setPlaying(false)),
      wave.on("timeupdate", (time) => {
        setAt(time);
        // The end of the part is where it ends.
        if (!media.paused && time >= latest.current.part.until) {
          wave.pause();
          wave.setTime(latest.current.part.from);
        }
      }),
    ];
    const show = () => {
      regions.clearRegions();
      const { from, until } = latest.current.part;
      region.current = regions.addRegion({
        start: from,
        end: until,
        drag: false,
        resize: true,
        minLength: Math.min(SHORTEST_PART_S, recording.durationS),
        color: "transparent",
      });
      dressHandles(region.current);
      region.current.on("update-end", () => {
        if (region.current) latest.current.onPart({ from: region.current.start, until: region.current.end });
      });
    };
    stops.push(wave.on("ready", show));
    const uncolour = onColours(() => {
      wave.setOptions(colours());
      dressHandles(region.current);
    });
    surfer.current = wave;
    return () => {
      uncolour();
      for (const stop of stops) stop();
      surfer.current = null;
      region.current = null;
      wave.destroy();
      media.pause();
      URL.revokeObjectURL(url);
    };
  }, [recording]);

  useEffect(() => {
    if (region.current && (region.current.start !== part.from || region.current.end !== part.until)) {
      region.current.setOptions({ start: part.from, end: part.until });
    }
  }, [part]);
  useEffect(() => region.current?.setOptions({ resize: !disabled }), [disabled]);

  const toggle = () => {
    const wave = surfer.current;
    if (!wave) return;
    if (wave.isPlaying()) {
      wave.pause();
      return;
    }
    player.pause();
    const now = wave.getCurrentTime();
    if (now < part.from || now >= part.until - 0.05) wave.setTime(part.from);
    void wave.play();
  };

  const whole = isWhole(recording, part);
  const share = useMemo(
    () => ({
      "--before": `${(100 * part.from) / durationS}%`,
      "--after": `${(100 * (durationS - part.until)) / durationS}%`,
    }),
    [part, durationS],
  );
  return (
    <div className={styles.waveform}>
      <div className={styles.wave} style={share as React.CSSProperties}>
        <div ref={container} role="img" aria-label={words.waveform(words.seconds(durationS))} />
      </div>
      <div className={styles.transport}>
        <Button onClick={toggle}>
          {playing ? <Pause size={16} aria-hidden="true" /> : <Play size={16} aria-hidden="true" />}
          {playing ? words.pause : whole ? words.play : words.playPart}
        </Button>
        <span className={styles.time}>{words.timeOf(clock(at), clock(durationS))}</span>
      </div>
      <div className={styles.transport}>
        <PartField
          label={words.from}
          value={part.from}
          least={0}
          most={Math.max(0, part.until - SHORTEST_PART_S)}
          disabled={disabled}
          onValue={(from) => onPart({ ...part, from })}
        />
        <PartField
          label={words.until}
          value={part.until}
          least={Math.min(durationS, part.from + SHORTEST_PART_S)}
          most={durationS}
          disabled={disabled}
          onValue={(until) => onPart({ ...part, until })}
        />
        {!whole && (
          <Button
            small
            kind="quiet"
            disabled={disabled}
            onClick={() => onPart({ from: 0, until: durationS })}
          >
            {words.useAll}
          </Button>
        )}
      </div>
      <p className={styles.quiet} aria-live="polite">
        {!whole && words.trimmed(words.seconds(part.until - part.from), words.seconds(durationS))}
      </p>
    </div>
  );
}

interface PartFieldProps {
  label: string;
  value: number;
  least: number;
  most: number;
  disabled: boolean;
  onValue: (value: number) => void;
}

/** Seconds with one digit; what is written counts when the field is left, or at Enter. */
function PartField({ label, value, least, most, disabled, onValue }: PartFieldProps) {
  const shown = (Math.round(value * 10) / 10).toFixed(1);
  const [written, setWritten] = useState<string | null>(null);
  const settle = (text: string) => {
    setWritten(null);
    const asked = Number(text.replace(",", "."));
    if (text.trim() === "" || !Number.isFinite(asked) || text === shown) return;
    onValue(Math.min(most, Math.max(least, asked)));
  };
  return (
    <label className={styles.partField}>
      <span>{label}</span>
      <input
        type="number"
        inputMode="decimal"
        aria-description={words.secondsUnit}
        step={0.1}
        min={0}
        max={Math.ceil(most * 10) / 10}
        disabled={disabled}
        value={written ?? shown}
        onChange={(event) => {
          // The arrows of the field change it at once, a person who types is let finish.
          if (isTyped(event.nativeEvent)) setWritten(event.target.value);
          else settle(event.target.value);
        }}
        onBlur={(event) => written !== null && settle(event.target.value)}
        onKeyDown={(event) => {
          if (event.key !== "Enter") return;
          event.preventDefault();
          settle(event.currentTarget.value);
        }}
      />
    </label>
  );
}
