import { common } from "@/strings/common";

/** Micro-dollars as dollars, with as many digits as the sum needs to be told from nothing. */
export function money(microusd: number): string {
  const dollars = microusd / 1e6;
  const digits = dollars !== 0 && Math.abs(dollars) < 0.1 ? 4 : 2;
  return new Intl.NumberFormat("en-US", {
    style: "currency",
    currency: "USD",
    minimumFractionDigits: 2,
    maximumFractionDigits: digits,
  }).format(dollars);
}

export function count(value: number): string {
  return new Intl.NumberFormat("en-US").format(value);
}

export function percent(share: number, digits = 1): string {
  return new Intl.NumberFormat("en-US", { style: "percent", maximumFractionDigits: digits }).format(share);
}

export function bytes(size: number): string {
  if (size < 1024) return `${size} B`;
  if (size < 1024 * 1024) return `${(size / 1024).toFixed(0)} kB`;
  return `${(size / 1024 / 1024).toFixed(1)} MB`;
}

/** Milliseconds as a person says them: 320 ms, 4.2 s, 3 min 05 s. */
export function duration(ms: number): string {
  if (Math.round(ms) < 1000) return `${Math.round(ms)} ms`;
  if (Math.round(ms / 100) < 600) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${String(seconds % 60).padStart(2, "0")} s`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}

/** Seconds as a player shows them: 1:05. */
export function clock(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/** Unicode code points, as the API counts characters. */
export function codePoints(text: string): number {
  let points = 0;
  for (const _ of text) points += 1;
  return points;
}

export function ago(at: Date, now: Date): string {
  const seconds = Math.round((now.getTime() - at.getTime()) / 1000);
  if (seconds < 5) return common.ago.now;
  if (seconds < 60) return common.ago.seconds(seconds);
  if (seconds < 3600) return common.ago.minutes(Math.floor(seconds / 60));
  if (seconds < 86_400) return common.ago.hours(Math.floor(seconds / 3600));
  return common.ago.days(Math.floor(seconds / 86_400));
}

/** `soon`: a moment of these weeks, to the minute. */
export type TimeStyle = "time" | "date" | "full" | "soon";

export function localTime(at: Date, style: TimeStyle = "full"): string {
  const time = { hour: "2-digit", minute: "2-digit", second: "2-digit" } as const;
  const date = { year: "numeric", month: "short", day: "numeric" } as const;
  const soon = { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" } as const;
  const options = { time, date, soon, full: { ...date, ...time } }[style];
  return new Intl.DateTimeFormat("en-GB", { ...options, hour12: false }).format(at);
}

export function utcTime(at: Date): string {
  return common.utc(at.toISOString().replace("T", " ").replace("Z", ""));
}
