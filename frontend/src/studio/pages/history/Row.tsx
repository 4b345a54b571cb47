import { RotateCcw, Trash2 } from "lucide-react";
import { useState } from "react";
import { useNavigate } from "react-router";
import { IconButton } from "@/shared/controls";
import { clock } from "@/shared/format";
import { Badge } from "@/shared/layout";
import { sentenceOf } from "@/shared/problems";
import { Ago } from "@/shared/time";
import { useTell } from "@/shared/toasts";
import { common } from "@/strings/common";
import { history as words } from "@/strings/history";
import { answered, api, type Schemas } from "../../api/client";
import { audioLink } from "../../player/links";
import { PlayButton } from "../../player/PlayButton";
import { usePlayer } from "../../player/player";
import { Download } from "../../speaking/Download";
import { plainly } from "../../speaking/plainly";
import { trackOf } from "../../speaking/speeches";
import { TONES } from "../../speaking/tones";
import styles from "./Row.module.css";

const NAMED_BY_CHARS = 40;

interface RowProps {
  row: Schemas["Generation"];
  onDelete: (said: string) => void;
}

export function Row({ row, onDelete }: RowProps) {
  const player = usePlayer();
  const voiceName = row.voice_name ?? words.deletedVoice;
  const short = words.cut(row.text, NAMED_BY_CHARS);
  const track = trackOf(row.id, voiceName, row.text);
  const discard = () => {
    player.dismiss(track.key);
    onDelete(words.deleted(short));
  };
  return (
    <li className={styles.row}>
      <div className={styles.words}>
        <p className={styles.text}>{row.text}</p>
        <p className={styles.facts}>
          <span>{voiceName}</span>
          <Ago at={row.created_at} />
          {row.duration_seconds !== null && <span>{clock(Math.max(1, row.duration_seconds))}</span>}
          <span>{row.language}</span>
        </p>
        {row.status === "failed" && row.error_message && (
          <p className={styles.problem} title={row.error_message}>
            {plainly(row.error_message)}
          </p>
        )}
      </div>
      <div className={styles.side}>
        <Badge tone={TONES[row.status]}>{words.statuses[row.status]}</Badge>
        <div className={styles.actions}>
          {row.audio_path && (
            <>
              <PlayButton
                small
                track={track}
                link={() => audioLink(row.id)}
                label={words.play(short)}
                pauseLabel={words.pause(short)}
              />
              <Download
                generationId={row.id}
                voiceName={voiceName}
                text={row.text}
                label={words.download(short)}
              />
            </>
          )}
          <Again row={row} label={words.regenerate(short)} />
          <IconButton small label={words.delete(short)} onClick={discard}>
            <Trash2 size={16} aria-hidden="true" />
          </IconButton>
        </div>
      </div>
    </li>
  );
}

/** Fills the form with it; nothing is spoken before its button is pressed there. */
function Again({ row, label }: { row: Schemas["Generation"]; label: string }) {
  const navigate = useNavigate();
  const tell = useTell();
  const [busy, setBusy] = useState(false);
  const go = async () => {
    setBusy(true);
    try {
      const params = { path: { id: row.id } };
      const answer = await answered(api.POST("/api/generations/{id}/regenerate", { params }));
      await navigate(answer.redirect_url, { state: { text: answer.text } });
    } catch (error) {
      tell(sentenceOf(error, common.failed));
      setBusy(false);
    }
  };
  return (
    <IconButton small label={label} busy={busy} onClick={() => void go()}>
      <RotateCcw size={16} aria-hidden="true" />
    </IconButton>
  );
}
