/** What is played, for whoever looks at the player. */
export interface Track {
  /** Its identity: `generation:<id>`, `voice:<id>`. */
  key: string;
  /** The voice. */
  title: string;
  /** The beginning of the text. */
  about: string;
}

export type Phase = "empty" | "loading" | "playing" | "waiting" | "paused" | "ended" | "failed";

export interface PlayerState {
  track: Track | null;
  phase: Phase;
  /** More of it is still coming. */
  live: boolean;
  /** It breaks off: the rest never came. */
  cut: boolean;
  /** Only what has been stored can be kept as a file. */
  kept: boolean;
  positionS: number;
  /** How far it goes: its length, or as much as is there. */
  endS: number;
  rate: number;
  problem: string | null;
}

export type PlayerEvent =
  | { kind: "opened"; track: Track; live: boolean }
  | { kind: "loading" | "playing" | "waiting" | "paused" | "ended" | "whole" | "cut" | "dismissed" }
  | { kind: "moved"; positionS: number; endS: number }
  | { kind: "rate"; rate: number }
  | { kind: "failed"; problem: string };

export const SILENCE: PlayerState = {
  track: null,
  phase: "empty",
  live: false,
  cut: false,
  kept: false,
  positionS: 0,
  endS: 0,
  rate: 1,
  problem: null,
};

export function play(state: PlayerState, event: PlayerEvent): PlayerState {
  switch (event.kind) {
    case "opened":
      return {
        ...SILENCE,
        rate: state.rate,
        track: event.track,
        phase: "loading",
        live: event.live,
        kept: !event.live,
      };
    case "loading":
    case "playing":
    case "waiting":
    case "paused":
      // What has failed or was put away stays so until something is opened; a late event changes nothing.
      return state.phase === "failed" || state.phase === "empty" || state.phase === event.kind
        ? state
        : { ...state, phase: event.kind };
    case "ended":
      // The end of what has arrived is not the end while more may come.
      if (state.live || state.phase === "failed" || state.phase === "empty") return state;
      return { ...state, phase: "ended", positionS: state.endS };
    case "whole":
      return state.track ? { ...state, live: false, kept: true } : state;
    case "cut":
      return state.track ? { ...state, live: false, cut: true } : state;
    case "moved":
      if (state.phase === "empty") return state;
      return { ...state, positionS: event.positionS, endS: Math.max(event.endS, event.positionS) };
    case "rate":
      return { ...state, rate: event.rate };
    case "failed":
      return state.track ? { ...state, phase: "failed", live: false, problem: event.problem } : state;
    case "dismissed":
      return { ...SILENCE, rate: state.rate };
  }
}

/** Whether a press on the big button pauses. */
export function sounds(state: PlayerState): boolean {
  return state.phase === "playing" || state.phase === "waiting" || state.phase === "loading";
}
