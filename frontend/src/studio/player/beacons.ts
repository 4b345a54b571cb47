import type { Schemas } from "../api/client";

/** A wait shorter than this is no stall. */
export const STALL_MS = 250;

export type BeaconKind = Schemas["Beacon"]["event"];

/** What the player of one streamed generation went through. */
export type Signal =
  /** Sound comes out. */
  | "playing"
  /** It would play, and has nothing left to play. */
  | "dry"
  /** The person paused it. */
  | "paused"
  /** The person jumped. */
  | "sought"
  /** Time went by. */
  | "tick"
  /** All of the stream has arrived. */
  | "whole"
  /** The stream broke off. */
  | "cut"
  | "undecodable"
  /** All of it was heard. */
  | "ended"
  /** The person left it: another track, the cross, a cancelled speech. */
  | "left";

export interface Moment {
  signal: Signal;
  /** Milliseconds since 1970. */
  at: number;
  positionMs: number;
  detail?: string;
}

export interface Seen {
  kind: BeaconKind;
  at: number;
  positionMs: number;
  detail?: string;
}

export interface Listening {
  started: boolean;
  /** More of the stream may come. */
  open: boolean;
  paused: boolean;
  /** Nothing after this is told. */
  over: boolean;
  /** Since when it has had nothing to play, and whether that was told. */
  dry: { at: number; positionMs: number; told: boolean } | null;
}

export const BEGINNING: Listening = { started: false, open: true, paused: false, over: false, dry: null };

/** Takes what happened; says what the service is to hear of it. */
export function listen(before: Listening, moment: Moment): [after: Listening, seen: Seen[]] {
  if (before.over) return [before, []];
  const { at, positionMs } = moment;
  const seen: Seen[] = [];
  const state = { ...before };
  const told = (kind: BeaconKind, detail?: string) =>
    seen.push({ kind, at, positionMs, ...(detail ? { detail } : {}) });
  const start = () => {
    if (!state.started) told("started");
    state.started = true;
  };
  // A stall is told as soon as it is one, so that one without an end is told too.
  if (state.dry && !state.dry.told && at - state.dry.at > STALL_MS) {
    seen.push({
      kind: "stalled",
      at: state.dry.at,
      positionMs: state.dry.positionMs,
      detail: "buffer empty",
    });
    state.dry = { ...state.dry, told: true };
  }
  switch (moment.signal) {
    case "playing":
      start();
      return [{ ...state, paused: false, dry: null }, seen];
    case "dry":
      if (state.started && state.open && !state.paused && !state.dry) {
        state.dry = { at, positionMs, told: false };
      }
      return [state, seen];
    case "paused":
      return [{ ...state, paused: true, dry: null }, seen];
    case "sought":
      return [{ ...state, dry: null }, seen];
    case "tick":
      return [state, seen];
    case "whole":
      return [{ ...state, open: false, dry: null }, seen];
    case "cut":
      told("ended_early", moment.detail);
      return [{ ...state, open: false, over: true }, seen];
    case "undecodable":
      told("decode_error", moment.detail);
      return [{ ...state, over: true }, seen];
    case "ended":
      if (state.open) return [state, seen];
      start();
      told("ended");
      return [{ ...state, over: true }, seen];
    case "left":
      return [{ ...state, over: true }, seen];
  }
}
