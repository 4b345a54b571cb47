import type { Judgement } from "@/operations/pages/cutover/sides";
import type { Cutover, CutoverStatus } from "@/operations/pages/cutover/stages";

/** A stage that waits for its sample; typed by the API, so that it cannot drift. */
export function judgement(changes: Partial<Judgement> = {}): Judgement {
  return {
    at: "2026-11-29T12:00:00Z",
    epoch: 14,
    stage: 2,
    percent: 25,
    candidate: {
      total: 64,
      failed: 1,
      latency_ms: 2000,
      first_audio_calls: 64,
      first_audio_ms: 400,
      characters: 10_000,
      cost_microusd: 115_000,
      asked: 66,
      refused: 1,
    },
    control: {
      total: 256,
      failed: 2,
      latency_ms: 6000,
      first_audio_calls: 0,
      first_audio_ms: null,
      characters: 0,
      cost_microusd: 0,
      asked: 256,
      refused: 0,
    },
    needed: 157,
    hidden_percent: 7.2,
    hold_left_s: 2280,
    guardrails: [],
    waiting: [],
    left_behind: 0,
    failing: [],
    ...changes,
  };
}

export function row(changes: Partial<Cutover> = {}): Cutover {
  return {
    seq: 3,
    candidate: "qwen",
    percent: 5,
    stage: 1,
    state: "running",
    epoch: 13,
    stage_epoch: 13,
    owner: "ann",
    plan: {},
    plan_sha256: "ab",
    actor: "person:ann",
    reason: "release 14",
    incident: null,
    started_at: "2026-11-29T10:00:00Z",
    stage_started_at: "2026-11-29T11:00:00Z",
    watched_until: "2026-11-29T12:01:00Z",
    membership: 4,
    changed_at: "2026-11-29T11:00:00Z",
    watch_left_s: 50,
    stage_age_s: 3600,
    ...changes,
  };
}

export function status(changes: Partial<CutoverStatus> = {}): CutoverStatus {
  return {
    environment: "local",
    cutover: row(),
    stages: [1, 5, 100].map((percent) => ({ percent, hold_s: 1800, exclude_percent: 10, clean_calls: 29 })),
    in_force: true,
    mode: { value: "modal", epoch: 11 },
    judgement: judgement(),
    stays: [],
    moves: { moves: [], frozen: null, thaws: [], counted_epoch: 11, next_at: null },
    stabilization: null,
    history: [],
    may: { next: null, pause: null, resume: "It is running, not paused.", return: null },
    ...changes,
  };
}
