import { createContext, type ReactNode, useContext, useEffect, useState, useSyncExternalStore } from "react";
import { Speaking } from "../speaking/speaking";
import { Player } from "./engine";
import { type PlayerState, sounds } from "./playback";

const Context = createContext<Player | null>(null);

/** The player: stable, so that whoever only starts something is not drawn anew as it plays. */
export function usePlayer(): Player {
  const player = useContext(Context);
  if (player === null) throw new Error("usePlayer outside of PlayerProvider");
  return player;
}

/** What the player does, several times a second. */
export function usePlayerState(): PlayerState {
  const player = usePlayer();
  return useSyncExternalStore(player.subscribe, player.snapshot);
}

export type Playing = "none" | "loading" | "playing" | "paused";

/** What becomes of one track. */
export function usePlaying(key: string): Playing {
  const player = usePlayer();
  return useSyncExternalStore(player.subscribe, () => {
    const state = player.snapshot();
    if (state.track?.key !== key) return "none";
    if (state.phase === "loading") return "loading";
    return sounds(state) ? "playing" : "paused";
  });
}

/** What plays and what is being spoken: both outlive the page that began them. */
export function PlayerProvider({ children }: { children: ReactNode }) {
  const [player] = useState(() => new Player());
  useEffect(() => player.attach(), [player]);
  return (
    <Context value={player}>
      <Speaking player={player}>{children}</Speaking>
    </Context>
  );
}
