import type { Schemas } from "@/operations/api/client";
import type { Plan } from "@/operations/pages/incidents/permitted";
import type { Entry, Line } from "@/operations/pages/incidents/story";

export const NOW = new Date("2026-11-29T15:10:00Z");
export const ID = "inc-20261129T150105Z-2f6afb";
export const HASH = "23641c322a2b150a0d7a2187ad864878f16b38a67da652b9990d27c5b95cfe66";

export const TIMES: Schemas["Times"] = {
  onset: "2026-11-29T15:01:03.029487+00:00",
  detected: "2026-11-29T15:01:05.867373+00:00",
  decided: "2026-11-29T15:01:05.892780+00:00",
  acted: "2026-11-29T15:01:07.007325+00:00",
  mitigated: "2026-11-29T15:01:09.368856+00:00",
  verified: "2026-11-29T15:01:12.208390+00:00",
  recovered: "2026-11-29T15:01:30.841257+00:00",
  closed: "2026-11-29T15:01:30.847060+00:00",
};

export const NO_TIMES: Schemas["Times"] = {
  onset: null,
  detected: null,
  decided: null,
  acted: null,
  mitigated: null,
  verified: null,
  recovered: null,
  closed: null,
};

export function entry(over: Partial<Entry>): Entry {
  return {
    seq: 1,
    at: "2026-11-29T15:01:05.889077+00:00",
    incident: ID,
    kind: "state",
    step: null,
    actor: "guard",
    lease_epoch: 1,
    body: {},
    prev_hash: "0".repeat(64),
    hash: "1".repeat(64),
    ...over,
  };
}

export function line(over: Partial<Line>): Line {
  return {
    seq: 1,
    at: "2026-11-29T15:01:05.889077+00:00",
    kind: "outcome",
    word: "done",
    text: "live switch written",
    state: "done",
    step: null,
    action: null,
    actor: "guard",
    took_ms: null,
    more: "",
    evidence: null,
    evidence_sha256: null,
    hash: null,
    ...over,
  };
}

export function plan(over: Partial<Plan> = {}): Plan {
  return {
    action: "env_switch",
    title: "Fast rollback via env switch",
    plan_sha256: HASH,
    approvals: 1,
    approved_by: [],
    break_glass: false,
    requested_by: "guard",
    expires_at: "2026-11-29T15:16:00+00:00",
    begun: false,
    open: true,
    plan: [
      { step: "precheck", changes: false, time_box_s: 20, plan: { check: "modal" } },
      { step: "live_override", changes: true, time_box_s: 10, plan: { set: "modal", minimum_epoch: 3 } },
    ],
    ...over,
  };
}

export function incident(over: Partial<Schemas["IncidentDetail"]> = {}): Schemas["IncidentDetail"] {
  return {
    id: ID,
    environment: "local",
    state: "HOLD",
    title: "Realtime connections break on qwen (11 of 27 calls failed)",
    opened_at: "2026-11-29T15:01:05.888953+00:00",
    updated_at: "2026-11-29T15:01:30.847031+00:00",
    acknowledged_by: [],
    instruction: null,
    plans: [],
    order: null,
    times: NO_TIMES,
    journal: [],
    ...over,
  } as Schemas["IncidentDetail"];
}
