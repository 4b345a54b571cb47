import { Pause, Play } from "lucide-react";
import { IconButton } from "@/shared/controls";
import type { Link } from "./engine";
import type { Track } from "./playback";
import { usePlayer, usePlaying } from "./player";

interface PlayButtonProps {
  track: Track;
  link: Link;
  /** What it does, with the name of what it plays. */
  label: string;
  pauseLabel: string;
  small?: boolean;
}

/** Plays something stored in the player, and pauses it there. */
export function PlayButton({ track, link, label, pauseLabel, small = false }: PlayButtonProps) {
  const player = usePlayer();
  const playing = usePlaying(track.key);
  const sounding = playing === "playing";
  const Icon = sounding ? Pause : Play;
  return (
    <IconButton
      kind="plain"
      small={small}
      label={sounding ? pauseLabel : label}
      busy={playing === "loading"}
      onClick={() => player.playStored(track, link)}
    >
      <Icon size={small ? 14 : 18} aria-hidden="true" />
    </IconButton>
  );
}
