import type { Schemas } from "@/operations/api/client";
import type { Freshness } from "@/operations/live/freshness";

/** Parts of the guard's answers, typed by its own document: a field that changes there breaks them here. */

export const NOW = "2026-11-29T02:20:00+00:00";

export const FRESH: Freshness = {
  fresh: true,
  stuck: false,
  ageMs: 400,
  asOf: new Date(NOW),
  reason: null,
};

export const LOST: Freshness = {
  fresh: false,
  stuck: false,
  ageMs: 64_000,
  asOf: new Date(NOW),
  reason: "lost",
};

export function windowOf(given: Partial<Schemas["Window"]> = {}): Schemas["Window"] {
  return {
    start: "2026-11-29T02:19:00+00:00",
    end: NOW,
    total: 1204,
    failed: 2,
    by_class: {},
    synthetic_total: 2,
    synthetic_failed: 0,
    ...given,
  };
}

export function findingOf(given: Partial<Schemas["Finding"]> = {}): Schemas["Finding"] {
  return {
    trigger: "success_rate",
    check: "rate",
    verdict: "PASS",
    mode: "auto",
    cures: ["env_switch", "code_rollback"],
    provider: "qwen",
    mode_epoch: 3,
    subject: "speak",
    evaluated_at: NOW,
    n: 1204,
    failures: 2,
    bounds: {},
    window_s: 60,
    detail: "at or above the SLO of 99 % in the newest window with calls",
    first_bad_at: null,
    evidence: {},
    windows: [],
    ...given,
  };
}

export function familyOf(
  trigger: string,
  verdict: Schemas["Finding"]["verdict"],
  detail = "as it is",
): Schemas["Family"] {
  return { trigger, sentence: `${trigger} must hold.`, verdict, detail, checks: [] };
}

export function probeOf(given: Partial<Schemas["ProbeHeard"]> = {}): Schemas["ProbeHeard"] {
  return {
    at: NOW,
    ok: true,
    provider: "qwen",
    latency_ms: 580,
    first_audio_ms: 120,
    code: null,
    detail: "31 characters, 1.8 s of audio",
    ...given,
  };
}

export function processOf(given: Partial<Schemas["Process"]> = {}): Schemas["Process"] {
  return {
    instance: "a",
    kind: "api",
    pid: 11,
    host: "one",
    mode_value: "qwen",
    mode_epoch: 3,
    mode_state: "FRESH",
    env_value: "qwen",
    started_at: "2026-11-29T01:00:00+00:00",
    seen_at: NOW,
    known_good_ok: true,
    revision: "d1dd87fbb93d",
    cutover_epoch: null,
    lagging: false,
    drifting: false,
    ...given,
  };
}

export function planOf(given: Partial<Schemas["Plan"]> = {}): Schemas["Plan"] {
  return {
    action: "code_rollback",
    title: "Back to the known-good release",
    plan_sha256: "3f9c0a12b7de",
    approvals: 1,
    approved_by: [],
    break_glass: false,
    requested_by: "guard",
    expires_at: "2026-11-29T02:30:00+00:00",
    begun: false,
    open: true,
    plan: [],
    ...given,
  };
}

export function incidentOf(given: Partial<Schemas["Incident"]> = {}): Schemas["Incident"] {
  return {
    id: "inc-1",
    environment: "local",
    state: "RESTORING",
    title: "Realtime sessions end in provider errors on qwen (26 of 242 calls failed)",
    opened_at: "2026-11-29T02:14:00+00:00",
    updated_at: "2026-11-29T02:14:10+00:00",
    acknowledged_by: [],
    instruction: null,
    plans: [],
    cures: [],
    order: null,
    times: {
      onset: "2026-11-29T02:13:50+00:00",
      detected: "2026-11-29T02:14:00+00:00",
      decided: "2026-11-29T02:14:01+00:00",
      acted: "2026-11-29T02:14:07+00:00",
      mitigated: null,
      verified: null,
      recovered: null,
      closed: null,
    },
    ...given,
  };
}

function entry(seq: number, kind: string, body: Record<string, unknown>): Schemas["JournalEntry"] {
  return {
    seq,
    at: NOW,
    incident: "inc-1",
    kind,
    step: null,
    actor: "guard",
    lease_epoch: 1,
    body,
    prev_hash: "",
    hash: "",
  };
}

/** The incident with a journal that begins with what opened it. */
export function detailOf(
  incident: Schemas["Incident"],
  opened: Record<string, unknown> = {
    action: "env_switch",
    requested_by: null,
    finding: { trigger: "realtime_failures", check: "provider", provider: "qwen" },
  },
  later: readonly { kind: string; body: Record<string, unknown> }[] = [],
): Schemas["IncidentDetail"] {
  const journal = [{ kind: "opened", body: opened }, ...later];
  return { ...incident, journal: journal.map(({ kind, body }, i) => entry(i + 1, kind, body)) };
}

export function checklistOf(done: number, of: number, red = 0): Schemas["Checklist"] {
  const rows = Array.from({ length: of }, (_, i) => ({
    key: `point ${i}`,
    text: `Point ${i}`,
    state: i < done ? ("green" as const) : i < done + red ? ("red" as const) : ("pending" as const),
    detail: "",
    evidence: {},
  }));
  return { incident: "inc-1", rows, done, of };
}

export function statusOf(given: Partial<Schemas["Status"]> = {}): Schemas["Status"] {
  return {
    environment: "local",
    now: NOW,
    observed_at: NOW,
    guard: {
      holder: "one:1",
      leads: true,
      lease: { holder: "one:1", epoch: 1, expires_at: NOW },
      store: "here",
      cycles: 7,
      cycle_ms: 9,
      cycle_age_s: 0.3,
    },
    policy: null,
    known_good: "modal",
    known_good_record: null,
    mode: {
      value: "qwen",
      epoch: 3,
      actor: "person:ann",
      reason: "cutover",
      incident: null,
      env_value: "qwen",
      changed_at: "2026-11-29T01:00:00+00:00",
    },
    highest_mode_epoch: 3,
    processes: [processOf()],
    rule: {},
    verdict: "PASS",
    finding: findingOf(),
    windows: [windowOf()],
    families: [familyOf("success_rate", "PASS"), familyOf("cost", "PASS")],
    would_have_fired: {},
    disarmed: [],
    detectable: null,
    sources: {
      calls: { at: NOW, blind: null },
      playback: { at: NOW, blind: null },
      cost: { at: NOW, blind: null },
      integrity: { at: NOW, blind: null },
      security: { at: NOW, blind: null },
    },
    probes: { active: [probeOf()], standby: [], spent_microusd: 0, paused: null },
    incident: null,
    recovery: null,
    drift: {
      variable: "TTS_PROVIDER_MODE",
      env_value: "qwen",
      row_value: "qwen",
      drifting: false,
      detail: null,
    },
    writes_frozen: null,
    reads_closed: [],
    valves_closed: [],
    closures_read_at: NOW,
    alarms: {},
    outbox: null,
    ...given,
  };
}

/** The mode after the guard stepped back. */
export const STEPPED_BACK: Schemas["Mode"] = {
  value: "modal",
  epoch: 4,
  actor: "guard",
  reason: "Realtime sessions end in provider errors on qwen",
  incident: "inc-1",
  env_value: "modal",
  changed_at: "2026-11-29T02:14:07+00:00",
};
