import { Check } from "lucide-react";
import { type KeyboardEvent, useId, useRef, useState } from "react";
import { classes } from "@/shared/classes";
import { TextField } from "@/shared/controls";
import { useSettled } from "@/shared/urlState";
import { generate as words } from "@/strings/generate";
import type { Schemas } from "../../api/client";
import { useVoices } from "./queries";
import styles from "./VoicePicker.module.css";

type Voice = Schemas["Voice"];

const AFTER_MS = 200;

interface VoicePickerProps {
  voiceId: string;
  /** What it is called, as it was last known. */
  voiceName: string;
  error: string | null;
  onChoose: (voice: Voice) => void;
}

/** A combobox of the person's voices: opens with all of them, and searches by name. */
export function VoicePicker({ voiceId, voiceName, error, onChoose }: VoicePickerProps) {
  const [open, setOpen] = useState(false);
  const [typed, setTyped] = useState<string | null>(null);
  const [at, setAt] = useState(0);
  const list = useId();
  const options = useRef<HTMLDivElement>(null);
  const search = useSettled(typed?.trim() ?? "", AFTER_MS);
  const { data } = useVoices(search);
  const voices = data?.voices ?? [];
  const active = voices[Math.min(at, voices.length - 1)];

  const show = () => {
    setOpen(true);
    setAt(
      Math.max(
        0,
        voices.findIndex(({ id }) => id === voiceId),
      ),
    );
  };
  const hide = () => {
    setOpen(false);
    setTyped(null);
  };
  const choose = (voice: Voice | undefined) => {
    if (voice) onChoose(voice);
    hide();
  };
  const move = (to: number) => {
    const next = Math.max(0, Math.min(voices.length - 1, to));
    setAt(next);
    options.current?.children[next]?.scrollIntoView?.({ block: "nearest" });
  };
  const press = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const moves: Record<string, number> = { ArrowDown: at + 1, ArrowUp: at - 1 };
    const to = moves[event.key];
    if (to !== undefined) {
      event.preventDefault();
      if (open) move(to);
      else show();
    } else if (event.key === "Enter" && open) {
      event.preventDefault();
      choose(active);
    } else if (event.key === "Escape" && open) {
      event.preventDefault();
      hide();
    }
  };

  return (
    <div className={styles.picker}>
      <TextField
        label={words.voice}
        hint={words.voiceHint}
        error={error}
        role="combobox"
        aria-autocomplete="list"
        aria-expanded={open}
        aria-controls={list}
        aria-activedescendant={open && active ? `${list}-${active.id}` : undefined}
        autoComplete="off"
        spellCheck={false}
        placeholder={words.needVoice}
        value={typed ?? voiceName}
        onFocus={(event) => event.currentTarget.select()}
        onClick={show}
        onBlur={hide}
        onKeyDown={press}
        onChange={(event) => {
          setTyped(event.target.value);
          setOpen(true);
          setAt(0);
        }}
      />
      <div className={styles.popup} hidden={!open}>
        <div id={list} ref={options} role="listbox" aria-label={words.voices} className={styles.list}>
          {voices.map((voice) => (
            // biome-ignore lint/a11y/useKeyWithClickEvents: keys are heard by the field, which keeps the focus.
            <div
              key={voice.id}
              id={`${list}-${voice.id}`}
              role="option"
              tabIndex={-1}
              aria-selected={voice.id === voiceId}
              className={classes(styles.option, voice === active && styles.active)}
              onMouseDown={(event) => event.preventDefault()}
              onClick={() => choose(voice)}
            >
              <span className={styles.name}>{voice.name}</span>
              <span className={styles.about}>
                {[words.sources[voice.source], voice.language, !voice.speakable && words.notNow]
                  .filter(Boolean)
                  .join(" · ")}
              </span>
              {voice.id === voiceId && <Check size={16} aria-hidden="true" />}
            </div>
          ))}
        </div>
        {data && voices.length === 0 && <p className={styles.note}>{words.noVoiceFound(search)}</p>}
        {data && data.pagination.pages > 1 && <p className={styles.note}>{words.otherVoices}</p>}
      </div>
    </div>
  );
}
