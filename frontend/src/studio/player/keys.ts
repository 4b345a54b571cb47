import { useEffect } from "react";
import { studio } from "@/strings/studio";
import { sounds } from "./playback";
import { usePlayer, usePlayerState } from "./player";

const WANTS_SPACE =
  'input, textarea, select, button, a[href], summary, audio, video, [contenteditable=""], [contenteditable="true"], [role="button"], [role="option"], [role="slider"], [role="tab"], [role="menuitem"], dialog';

/** Whether a press of the space bar means nothing to what has the focus. */
export function spaceIsFree(event: KeyboardEvent): boolean {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey)
    return false;
  return !(event.target instanceof Element && event.target.closest(WANTS_SPACE));
}

/** The device's own controls: keys of headsets and keyboards, the lock screen. */
export function useMediaSession(): void {
  const player = usePlayer();
  const state = usePlayerState();
  const session = "mediaSession" in navigator ? navigator.mediaSession : null;
  const { track } = state;
  useEffect(() => {
    if (!session) return;
    session.metadata = track
      ? new MediaMetadata({ title: track.about, artist: track.title, album: studio.title })
      : null;
  }, [session, track]);
  const playing = sounds(state);
  useEffect(() => {
    if (session) session.playbackState = track ? (playing ? "playing" : "paused") : "none";
  }, [session, track, playing]);
  const { endS, rate } = state;
  const atSecond = Math.floor(state.positionS);
  useEffect(() => {
    if (!session || endS <= 0) return;
    session.setPositionState?.({ duration: endS, playbackRate: rate, position: Math.min(atSecond, endS) });
  }, [session, endS, rate, atSecond]);
  useEffect(() => {
    if (!session) return;
    const actions: [MediaSessionAction, MediaSessionActionHandler][] = [
      ["play", () => player.resume()],
      ["pause", () => player.pause()],
      ["stop", () => player.dismiss()],
      ["seekto", ({ seekTime }) => seekTime !== undefined && player.seek(seekTime)],
    ];
    for (const [action, handle] of actions) session.setActionHandler(action, handle);
    return () => {
      for (const [action] of actions) session.setActionHandler(action, null);
    };
  }, [session, player]);
}
