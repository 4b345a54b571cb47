import { describe, expect, test } from "vitest";
import type { Schemas } from "@/operations/api/client";
import { type Facts, nextAction } from "@/operations/pages/overview/next_action";
import { FRESH, familyOf, incidentOf, LOST, planOf, STEPPED_BACK, statusOf } from "../fixtures";

const next = (status: Schemas["Status"] | null, given: Partial<Facts> = {}) =>
  nextAction({ status, freshness: FRESH, cutover: null, me: "ann", ...given });

function cutoverOf(
  state: Schemas["CutoverPlan"]["state"],
  failing: readonly string[] = [],
): Schemas["CutoverStatus"] {
  const cutover = { state, percent: 10, candidate: "qwen" } as Schemas["CutoverPlan"];
  const judgement = { failing } as unknown as Schemas["Judgement"];
  return { cutover, judgement } as Schemas["CutoverStatus"];
}

const during = (given: Partial<Schemas["Incident"]>, status: Partial<Schemas["Status"]> = {}) =>
  statusOf({ incident: incidentOf(given), verdict: "FAIL", ...status });

test("nothing is pressed on old facts, whatever they say", () => {
  const waits = during({ state: "HOLD", plans: [planOf()] });
  for (const status of [null, statusOf(), waits]) {
    expect(next(status, { freshness: LOST })).toMatchObject({
      kind: "unknown",
      stepBackTo: null,
      why: expect.stringContaining("not the present"),
    });
  }
});

describe("without an incident", () => {
  test("nothing to do; a step back by hand stays possible", () => {
    expect(next(statusOf())).toMatchObject({ kind: "nothing", stepBackTo: "modal", incident: null });
  });

  test("the known-good provider serves: there is nowhere to step back to", () => {
    expect(next(statusOf({ mode: STEPPED_BACK }))).toMatchObject({ kind: "nothing", stepBackTo: null });
    const failing = next(statusOf({ mode: STEPPED_BACK, verdict: "FAIL" }));
    expect(failing).toMatchObject({ kind: "nothing", why: expect.stringContaining("nowhere to step back") });
  });

  test("speech fails and nobody acts: step back", () => {
    expect(next(statusOf({ verdict: "FAIL" }))).toMatchObject({ kind: "step_back", to: "modal" });
  });

  test("nothing is called well while something else fails or stands wrong", () => {
    const fails = next(statusOf({ families: [familyOf("cost", "FAIL")] }));
    expect(fails).toMatchObject({ kind: "nothing", why: expect.stringContaining("Something fails") });
    const alarm = next(statusOf({ alarms: { moves: "move 2 in 6 h" } }));
    expect(alarm).toMatchObject({ kind: "nothing", why: expect.stringContaining("stands wrong") });
  });

  test("blind", () => {
    expect(next(statusOf({ verdict: "BLIND" }))).toMatchObject({
      kind: "nothing",
      why: expect.stringContaining("cannot see"),
    });
  });

  test("a cutover whose guardrail fails is returned, before anything else", () => {
    const cutover = cutoverOf("running", ["latency"]);
    const action = next(statusOf({ verdict: "FAIL" }), { cutover });
    expect(action).toMatchObject({ kind: "return", why: expect.stringContaining("latency fails") });
  });

  test("a cutover is returned when speech fails", () => {
    expect(next(statusOf({ verdict: "FAIL" }), { cutover: cutoverOf("paused") }).kind).toBe("return");
  });

  test("a cutover that nothing speaks against needs nobody", () => {
    expect(next(statusOf(), { cutover: cutoverOf("running") })).toMatchObject({
      kind: "nothing",
      why: expect.stringContaining("10 %"),
    });
  });

  test.each(["complete", "returned", "superseded"] as const)(
    "a cutover that is %s is no cutover",
    (state) => {
      expect(next(statusOf({ verdict: "FAIL" }), { cutover: cutoverOf(state, ["latency"]) }).kind).toBe(
        "step_back",
      );
    },
  );
});

describe("with an incident", () => {
  test("a plan waits: approve it", () => {
    expect(next(during({ state: "HOLD", plans: [planOf()] }))).toMatchObject({
      kind: "approve",
      incident: "inc-1",
    });
  });

  test("my own plan, and one that I have agreed to, wait for somebody else", () => {
    const own = during({ state: "HOLD", plans: [planOf({ requested_by: "person:Ann" })] });
    expect(next(own)).toMatchObject({ kind: "nothing", why: expect.stringContaining("somebody else") });
    const agreed = during({
      state: "HOLD",
      plans: [planOf({ approvals: 2, approved_by: ["person:ann"] })],
    });
    expect(next(agreed)).toMatchObject({ kind: "nothing", why: expect.stringContaining("one person more") });
    expect(next(agreed, { me: "ben" }).kind).toBe("approve");
  });

  test("held by a person, on hold, frozen: resume", () => {
    const order = { kind: "hold" as const, by: "person:ben", reason: "lunch" };
    expect(next(during({ state: "HOLD", order, plans: [planOf()] }))).toMatchObject({
      kind: "resume",
      why: "ben holds it: lunch.",
    });
    expect(next(during({ state: "HOLD", plans: [planOf({ open: false })] })).kind).toBe("resume");
    expect(next(during({ state: "FROZEN" })).kind).toBe("resume");
  });

  test.each(["OPEN", "RESTORING", "MITIGATED", "RECOVERED"] as const)("%s needs nobody", (state) => {
    expect(next(during({ state }))).toMatchObject({ kind: "nothing", incident: "inc-1", stepBackTo: null });
  });

  test("OPEN, and the policy leaves it to a person: step back by hand", () => {
    expect(next(during({ state: "OPEN", instruction: "Switch back" })).kind).toBe("step_back");
  });

  test("an abort under way is left alone", () => {
    const order = { kind: "abort" as const, by: "person:ben", reason: "false alarm" };
    expect(next(during({ order }))).toMatchObject({ kind: "nothing", incident: "inc-1" });
  });
});
