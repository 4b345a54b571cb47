import { useEffect, useRef } from "react";
import { Link } from "react-router";
import { Button, buttonClass } from "@/shared/controls";
import { Banner, Card } from "@/shared/layout";
import { clone as words } from "@/strings/clone";
import { paths } from "../../paths";
import { previewLink } from "../../player/links";
import { PlayButton } from "../../player/PlayButton";
import styles from "./Clone.module.css";
import type { Made } from "./sending";

/** The voice is there: listen to what it was made of, and let it speak. */
export function Ready({ made, onAnother }: { made: Made; onAnother: () => void }) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus(), []);
  return (
    <Card className={styles.ready}>
      <h2 ref={heading} tabIndex={-1}>
        {words.ready(made.name)}
      </h2>
      <p>{words.readyAbout}</p>
      {made.degraded && <Banner tone="warn">{words.degraded}</Banner>}
      <div className={styles.readyActions}>
        <PlayButton
          track={{ key: `voice:${made.id}`, title: made.name, about: words.aboutRecording }}
          link={() => previewLink(made.id)}
          label={words.playVoice(made.name)}
          pauseLabel={words.pauseVoice(made.name)}
        />
        <Link
          className={buttonClass("primary")}
          to={`${paths.generate}?voice_id=${encodeURIComponent(made.id)}`}
        >
          {words.speak(made.name)}
        </Link>
        <Button onClick={onAnother}>{words.another}</Button>
        <Link to={paths.voices}>{words.all}</Link>
      </div>
    </Card>
  );
}
