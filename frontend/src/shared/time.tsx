import { useSyncExternalStore } from "react";
import { ago, localTime, type TimeStyle, utcTime } from "./format";

const EVERY_MS = 1000;
const listeners = new Set<() => void>();
let now = new Date();
let timer: ReturnType<typeof setInterval> | null = null;

function subscribe(listener: () => void): () => void {
  // Nobody asked for a while: it is the time of the last one who did.
  if (listeners.size === 0) now = new Date();
  listeners.add(listener);
  timer ??= setInterval(() => {
    now = new Date();
    for (const each of listeners) each();
  }, EVERY_MS);
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0 && timer !== null) {
      clearInterval(timer);
      timer = null;
    }
  };
}

/** The time, once a second, from one timer for the whole page. */
export function useNow(): Date {
  return useSyncExternalStore(subscribe, () => now);
}

interface TimeProps {
  at: string;
  style?: TimeStyle;
}

/** A time as it is here; in UTC for whoever points at it. */
export function Time({ at, style = "full" }: TimeProps) {
  const date = new Date(at);
  return (
    <time dateTime={at} title={utcTime(date)}>
      {localTime(date, style)}
    </time>
  );
}

/** How long ago it was. */
export function Ago({ at }: { at: string }) {
  const date = new Date(at);
  return (
    <time dateTime={at} title={`${localTime(date)} / ${utcTime(date)}`}>
      {ago(date, useNow())}
    </time>
  );
}
