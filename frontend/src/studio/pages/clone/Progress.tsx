import { useEffect, useRef } from "react";
import { Button, Spinner } from "@/shared/controls";
import { bytes } from "@/shared/format";
import { useNow } from "@/shared/time";
import { clone as words } from "@/strings/clone";
import styles from "./Clone.module.css";
import type { Stage } from "./sending";

/** How far it is: an upload has a length, the making of a voice has none. */
export function Progress({ stage, onCancel }: { stage: Stage; onCancel: () => void }) {
  const box = useRef<HTMLDivElement>(null);
  // The button that began it is gone; whoever uses a keyboard goes on from here.
  useEffect(() => box.current?.focus(), []);
  return (
    <div ref={box} tabIndex={-1} className={styles.progress}>
      <div className={styles.progressSaid} role="status">
        {stage.name !== "uploading" && <Spinner />}
        <span>{sentence(stage)}</span>
        {stage.name === "creating" && <Elapsed since={stage.since} />}
      </div>
      {stage.name === "uploading" && (
        <progress
          aria-label={words.upload}
          value={stage.sent}
          max={stage.of}
          aria-valuetext={words.uploading(bytes(stage.sent), bytes(stage.of))}
        />
      )}
      {stage.name !== "creating" && <Button onClick={onCancel}>{words.cancel}</Button>}
    </div>
  );
}

function Elapsed({ since }: { since: number }) {
  const seconds = Math.max(0, Math.floor((useNow().getTime() - since) / 1000));
  return (
    <span className={styles.time} aria-hidden="true">
      {words.elapsed(seconds)}
    </span>
  );
}

function sentence(stage: Stage): string {
  if (stage.name === "preparing") return words.preparing;
  if (stage.name === "uploading") return words.uploading(bytes(stage.sent), bytes(stage.of));
  return stage.waiting ? words.stillCreating : words.creating;
}
