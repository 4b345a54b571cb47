import { describe, expect, test } from "vitest";
import type { Schemas } from "@/operations/api/client";
import { type Known, parted, sentenceFor } from "@/operations/pages/overview/sentence";
import { localTime } from "@/shared/format";
import {
  checklistOf,
  detailOf,
  FRESH,
  familyOf,
  findingOf,
  incidentOf,
  LOST,
  NOW,
  planOf,
  probeOf,
  processOf,
  STEPPED_BACK,
  statusOf,
  windowOf,
} from "../fixtures";

const at = (iso: string) => localTime(new Date(iso), "time");
const STEPPED_AT = at(STEPPED_BACK.changed_at);

function said(status: Schemas["Status"] | null, given: Partial<Known> = {}) {
  const incident = status?.incident ? detailOf(status.incident) : null;
  return sentenceFor({ status, freshness: FRESH, incident, checklist: null, ...given });
}

describe("without an incident", () => {
  test("all is well", () => {
    const { text, tone, more, present } = said(statusOf());
    expect(text).toBe("Speech is safe. Qwen serves, 99.8 % of 1,204 calls in the last 60 s succeeded.");
    expect([tone, more, present]).toEqual(["pass", [], true]);
  });

  test("a rate never rounds up to all", () => {
    const status = statusOf({ windows: [windowOf({ total: 100_000, failed: 1 })] });
    expect(said(status).text).toContain("99.9 % of 100,000 calls");
  });

  test("PASS without calls in the newest window", () => {
    const status = statusOf({ windows: [windowOf({ total: 0, failed: 0 })] });
    expect(said(status).text).toBe("Speech is safe. Qwen serves; nobody spoke in the last 60 s.");
  });

  test.each([
    [5, "Nothing wrong was seen, but too little to be sure. Qwen serves, 80 % of 5 calls"],
    [0, "Nothing wrong was seen, but too few calls to be sure. Qwen serves."],
  ])("INCONCLUSIVE after %i calls", (total, begins) => {
    const failed = total === 0 ? 0 : 1;
    const status = statusOf({ verdict: "INCONCLUSIVE", windows: [windowOf({ total, failed })] });
    expect(said(status)).toMatchObject({ tone: "warn", text: expect.stringContaining(begins) });
  });

  test.each([
    [[probeOf()], "idle", "the last canary heard speech"],
    [[probeOf({ ok: false })], "warn", "the last canary on Qwen heard no speech"],
    [[], "idle", "there are no calls to judge"],
  ] as const)("NO_DATA, canaries %#", (active, tone, part) => {
    const probes = { active: [...active], standby: [], spent_microusd: 0, paused: null };
    const { text, tone: is } = said(statusOf({ verdict: "NO_DATA", probes }));
    expect(is).toBe(tone);
    expect(text).toContain(part);
    expect(text).not.toContain("safe");
  });

  test.each([
    [{}, "the guard has only just seen it"],
    [{ finding: findingOf({ mode: "shadow" }) }, "this check only counts (mode shadow)"],
    [{ disarmed: ["success_rate.rate"] }, "this check is disarmed"],
    [{ guard: { ...statusOf().guard, leads: false, lease: null } }, "no guard leads"],
    [{ guard: { ...statusOf().guard, leads: false } }, "this guard stands by; another one leads"],
  ] as const)("FAIL that nobody acts on, %#", (given, because) => {
    const status = statusOf({
      verdict: "FAIL",
      windows: [windowOf({ total: 100, failed: 40 })],
      ...(given as Partial<Schemas["Status"]>),
    });
    const { text, tone } = said(status);
    expect(tone).toBe("fail");
    expect(text).toBe(
      `Speech is failing on Qwen: 60 % of 100 calls in the last 60 s succeeded. No action was taken because ${because}.`,
    );
  });

  test("a source that cannot be believed makes nothing safe, whatever was judged before", () => {
    const sources = statusOf().sources;
    const blind = sources && { ...sources, calls: { at: NOW, blind: "the database does not answer" } };
    expect(said(statusOf({ sources: blind }))).toMatchObject({
      tone: "blind",
      text: "Speech cannot be seen: the database does not answer.",
    });
  });

  test("BLIND by its verdict", () => {
    const finding = findingOf({ verdict: "BLIND", detail: "clock skew of 9 s" });
    expect(said(statusOf({ verdict: "BLIND", finding })).text).toBe(
      "Speech cannot be seen: clock skew of 9 s.",
    );
  });

  test("another condition fails: green is not the whole truth", () => {
    const families = [familyOf("success_rate", "PASS"), familyOf("cost", "FAIL", "900 creates in an hour")];
    const { text, tone } = said(statusOf({ families }));
    expect(tone).toBe("fail");
    expect(text).toMatch(/^Speech is safe\. .* But cost is failing: 900 creates in an hour\.$/);
  });

  test("another condition is blind", () => {
    const families = [familyOf("success_rate", "PASS"), familyOf("security", "BLIND")];
    expect(said(statusOf({ families }))).toMatchObject({
      tone: "warn",
      more: ["Cannot be seen: security."],
    });
  });

  test("writes are frozen", () => {
    const { text, tone } = said(
      statusOf({ writes_frozen: { since: NOW, actor: "person:ann", reason: "database restore" } }),
    );
    expect(text).toBe(`Nothing new is spoken: writes are frozen since ${at(NOW)} by ann: database restore.`);
    expect(tone).toBe("fail");
  });

  test("the guard has not looked yet", () => {
    expect(said(statusOf({ observed_at: null }))).toMatchObject({ tone: "blind" });
  });
});

describe("besides", () => {
  test("no guard leads", () => {
    const guard = { ...statusOf().guard, leads: false, lease: null };
    expect(said(statusOf({ guard }))).toMatchObject({
      tone: "warn",
      more: ["No guard leads: whatever breaks now, nothing acts on it."],
    });
  });

  test("this guard stands by, which is nothing bad", () => {
    const guard = {
      ...statusOf().guard,
      leads: false,
      lease: { holder: "two:9", epoch: 4, expires_at: NOW },
    };
    expect(said(statusOf({ guard }))).toMatchObject({
      tone: "pass",
      more: ["This guard stands by; two:9 leads."],
    });
  });

  test("drift", () => {
    const detail = "TTS_PROVIDER_MODE is modal durably, but the live row says qwen";
    const status = statusOf({ drift: { ...statusOf().drift, drifting: true, detail } });
    expect(said(status)).toMatchObject({
      tone: "warn",
      more: [`Environment and live mode disagree: ${detail}.`],
    });
  });

  test("processes behind, stale, and none at all", () => {
    const processes = [
      processOf({ lagging: true }),
      processOf({ instance: "b", mode_state: "STALE" }),
      processOf({ instance: "c", mode_state: "STALE" }),
    ];
    expect(said(statusOf({ processes })).more).toEqual([
      "One process does not follow the mode yet.",
      "2 processes have not read the mode for a while.",
    ]);
    expect(said(statusOf({ processes: [] })).more).toEqual(["No process of the product reports."]);
  });

  test("reads and valves that are closed", () => {
    const closed = { since: NOW, actor: "guard", reason: "a leak" };
    const status = statusOf({
      reads_closed: [{ ...closed, name: "history" }],
      valves_closed: [{ ...closed, name: "design_create" }],
    });
    expect(said(status)).toMatchObject({
      tone: "warn",
      more: [
        `Reads of history are closed since ${at(NOW)} by the guard: a leak.`,
        `The valve design create is closed since ${at(NOW)} by the guard: a leak.`,
      ],
    });
  });

  test("alarms", () => {
    expect(said(statusOf({ alarms: { store: "cannot be written" } })).more).toEqual(["One alarm stands."]);
  });
});

describe("with an incident", () => {
  const during = (incident: Schemas["Incident"], given: Partial<Schemas["Status"]> = {}) =>
    statusOf({ incident, verdict: "FAIL", ...given });

  test("OPEN, and the guard decides", () => {
    expect(said(during(incidentOf({ state: "OPEN" })))).toMatchObject({
      tone: "fail",
      text: "Speech is failing on Qwen. The guard decides what to do.",
    });
  });

  test("OPEN, and a person must do it", () => {
    const incident = incidentOf({ state: "OPEN", instruction: "Roll the code back" });
    expect(said(during(incident)).text).toBe(
      "Speech is failing on Qwen: no action was taken because this needs a person. Roll the code back.",
    );
  });

  test("RESTORING, before the switch", () => {
    const incident = incidentOf();
    expect(said(during(incident)).text).toBe(
      `Speech is failing on Qwen. Being restored since ${at("2026-11-29T02:14:07Z")}: env switch.`,
    );
  });

  test("RESTORING, by the title of what was begun", () => {
    const cures = [{ action: "env_switch", title: "Fast rollback via env switch" }];
    expect(said(during(incidentOf({ cures }))).text).toContain(": Fast rollback via env switch.");
  });

  test("RESTORING, switched and being verified", () => {
    const status = during(incidentOf(), { mode: STEPPED_BACK, verdict: "PASS" });
    expect(said(status, { checklist: checklistOf(5, 8) })).toMatchObject({
      tone: "warn",
      text: `Speech was failing on Qwen; Modal serves since ${STEPPED_AT}. Being verified: 5 of 8 points.`,
    });
    expect(said(status).text).toContain("It is being verified.");
  });

  test("a red point is said", () => {
    const status = during(incidentOf(), { mode: STEPPED_BACK });
    expect(said(status, { checklist: checklistOf(5, 8, 1) }).more).toEqual([
      "One point of the verification failed.",
    ]);
  });

  test("MITIGATED: verified, and recovery is not proven yet", () => {
    const times = { ...incidentOf().times, mitigated: NOW, verified: NOW };
    const status = during(incidentOf({ state: "MITIGATED", times }), {
      mode: STEPPED_BACK,
      verdict: "PASS",
      recovery: {
        recovered: false,
        waiting_for: ["2 clean windows of 60 s (0 so far)", "31 users' calls"],
        n: 0,
        failures: 0,
        successes: {},
        overdue: false,
        windows: [],
      },
    });
    expect(said(status, { checklist: checklistOf(7, 7) })).toMatchObject({
      tone: "info",
      text: `Speech was failing on Qwen; Modal serves since ${STEPPED_AT}. Verified: 7 of 7 points. Waiting for proof of recovery: 2 clean windows of 60 s (0 so far).`,
    });
  });

  test("MITIGATED without a switch", () => {
    const times = { ...incidentOf().times, mitigated: NOW };
    const incident = incidentOf({ state: "MITIGATED", title: "One tenant runs away", times });
    const status = during(incident);
    const detail = detailOf(incident, { finding: { trigger: "cost", provider: null } });
    expect(said(status, { incident: detail }).text).toBe(
      `One tenant runs away; mitigated at ${at(NOW)}. It is being verified.`,
    );
  });

  test("speech that fails is told of first, though something else opened the incident", () => {
    const incident = incidentOf({ state: "OPEN", title: "One tenant runs away" });
    const detail = detailOf(incident, { finding: { trigger: "cost", provider: null } }, [
      { kind: "joined", body: { finding: { trigger: "realtime_failures", provider: "qwen" } } },
    ]);
    expect(said(during(incident), { incident: detail }).text).toContain("Speech is failing on Qwen.");
  });

  test("RECOVERED", () => {
    const times = { ...incidentOf().times, recovered: NOW };
    const status = during(incidentOf({ state: "RECOVERED", times }), { mode: STEPPED_BACK });
    expect(said(status)).toMatchObject({
      tone: "pass",
      text: `Speech was failing on Qwen; Modal serves since ${STEPPED_AT}. Recovered at ${at(NOW)}; it closes when the report is written.`,
    });
  });

  test("HOLD: a plan waits for persons", () => {
    const plan = planOf({ approvals: 2, approved_by: ["person:ann"] });
    const status = during(incidentOf({ state: "HOLD", plans: [plan] }));
    expect(said(status)).toMatchObject({
      tone: "fail",
      text: `Speech is failing on Qwen: no action was taken because one person must agree to “Back to the known-good release” before ${at(plan.expires_at)}.`,
    });
    const two = during(incidentOf({ state: "HOLD", plans: [planOf({ approvals: 2 })] }));
    expect(said(two).text).toContain("2 persons must agree");
  });

  test("HOLD: a person holds it", () => {
    const order = { kind: "hold" as const, by: "person:ben", reason: "wait for Alibaba" };
    expect(said(during(incidentOf({ state: "HOLD", order }))).text).toBe(
      "Speech is failing on Qwen. ben holds it: wait for Alibaba.",
    );
  });

  test("HOLD: the guard stopped, and its journal says why", () => {
    const incident = incidentOf({ state: "HOLD" });
    const detail = detailOf(incident, { finding: { trigger: "success_rate", provider: "qwen" } }, [
      { kind: "state", body: { from: "RESTORING", to: "HOLD", reason: "the precheck of modal failed" } },
    ]);
    expect(said(during(incident), { incident: detail }).text).toBe(
      "Speech is failing on Qwen: nothing more is done because it is on hold. the precheck of modal failed.",
    );
  });

  test("an abort is under way", () => {
    const order = { kind: "abort" as const, by: "person:ben", reason: "false alarm" };
    expect(said(during(incidentOf({ order }))).text).toContain("ben aborts it: false alarm.");
  });

  test("FROZEN", () => {
    const incident = incidentOf({ state: "FROZEN" });
    const reason = [{ kind: "state", body: { to: "FROZEN", reason: "no cure is left" } }];
    const detail = detailOf(incident, { finding: { trigger: "playback", provider: "qwen" } }, reason);
    expect(said(during(incident), { incident: detail })).toMatchObject({
      tone: "fail",
      text: "Speech is failing on Qwen: nothing more is tried. no cure is left.",
    });
  });

  test.each(["ABORTED", "CLOSED"] as const)("%s", (state) => {
    expect(said(during(incidentOf({ state }))).tone).toBe("idle");
  });

  test("asked for by a person", () => {
    const incident = incidentOf({ title: "Fast rollback via env switch." });
    const detail = detailOf(incident, {
      requested_by: "person:ann",
      action: "env_switch",
      finding: { trigger: "request" },
    });
    expect(said(during(incident), { incident: detail }).text).toContain(
      "ann asked for: Fast rollback via env switch. Being restored",
    );
  });

  test("its journal is not here yet: the title is", () => {
    const status = during(incidentOf({ state: "OPEN", title: "Speech fails" }));
    expect(said(status, { incident: null }).text).toBe("Speech fails. The guard decides what to do.");
  });

  test("another incident's journal says nothing about this one", () => {
    const status = during(incidentOf({ id: "inc-2", state: "OPEN", title: "Money runs away" }));
    expect(said(status, { incident: detailOf(incidentOf()) }).text).toContain("Money runs away");
  });

  test("mitigated, but something else fails, and writes are frozen", () => {
    const status = during(incidentOf({ state: "MITIGATED" }), {
      mode: STEPPED_BACK,
      families: [familyOf("cost", "FAIL")],
      writes_frozen: { since: NOW, actor: "guard", reason: "restore" },
    });
    const { more } = said(status);
    expect(more).toEqual([
      `Writes are frozen since ${at(NOW)} by the guard: restore.`,
      "Also failing: cost.",
    ]);
  });
});

describe("what is old", () => {
  test("is never said as if it were so now", () => {
    const { text, tone, more, present } = said(statusOf(), { freshness: LOST });
    expect(text).toBe(`Unknown since ${at(NOW)}.`);
    expect([tone, present]).toEqual(["blind", false]);
    expect(more).toEqual([
      "The guard does not answer.",
      "What was true then: “Speech is safe. Qwen serves, 99.8 % of 1,204 calls in the last 60 s succeeded.”",
    ]);
  });

  test("also where the guard answers but does not look", () => {
    const stuck = { ...LOST, stuck: true, reason: "stuck" as const };
    expect(said(statusOf(), { freshness: stuck }).more[0]).toBe(
      "The guard answers, but it has completed no look for a while.",
    );
  });

  test("nothing was ever heard", () => {
    const waiting = { ...FRESH, fresh: false, ageMs: null, asOf: null, reason: "waiting" as const };
    expect(said(null, { freshness: waiting })).toMatchObject({ tone: "idle", present: false });
    expect(said(null, { freshness: { ...waiting, reason: "lost" } })).toMatchObject({
      tone: "blind",
      text: expect.stringContaining("the guard does not answer"),
    });
  });
});

describe("what is read in one glance", () => {
  test.each([
    ["Speech is safe. Qwen serves.", "Speech is safe.", "Qwen serves."],
    ["Unknown: the guard does not answer.", "Unknown:", "the guard does not answer."],
    ["Unknown since 17:35:55.", "Unknown since 17:35:55.", ""],
    [
      "Speech is failing on Qwen: 12 % of 45 calls in the last 60 s succeeded. No action was taken.",
      "Speech is failing on Qwen:",
      "12 % of 45 calls in the last 60 s succeeded. No action was taken.",
    ],
    [
      "Speech is failing on Qwen. Being restored since 17:35:55: Fast rollback.",
      "Speech is failing on Qwen.",
      "Being restored since 17:35:55: Fast rollback.",
    ],
    ["ada asked for: Step back. Being restored: it.", "ada asked for: Step back.", "Being restored: it."],
  ])("%s", (text, first, rest) => {
    expect(parted(text)).toEqual([first, rest]);
  });
});
