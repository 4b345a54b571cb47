import { expect, test } from "vitest";
import { limitsOf, policyOf } from "@/operations/pages/playbook/policy";

const POLICY = {
  version: 3,
  owner: "operator on call",
  families: [
    { sentence: "Generate success rate drops.", trigger: "success_rate" },
    { sentence: "Nothing watches this.", trigger: "unknown" },
  ],
  triggers: {
    success_rate: {
      rate: { mode: "auto", cures: ["env_switch"], slo_percent: 99, window_s: 60 },
      refusals: { mode: "shadow", cures: [], count: 20 },
      window_s: 60,
    },
  },
  cures: { env_switch: { title: "Switch back", instruction: "`understudy mode set modal`" } },
  ladder: [
    {
      rung: 1,
      action: "env_switch",
      title: "Fast rollback",
      rollback_type: "env switch",
      approvals: 0,
      time_box_s: 300,
      steps: { evidence: 10, redeploy: 210 },
    },
  ],
  checklist: ["Voice clone finalize succeeds."],
  closing: { clean_windows: 2, minimum_evidence: 31, real_success_of: ["speak"], maximum_wait_s: 1800 },
  limits: { attempts: 5 },
};

test("a family's checks are what says how it acts; its other fields are not", () => {
  const [family, unknown] = policyOf(POLICY).families;
  expect(family?.checks.map((check) => [check.name, check.mode])).toEqual([
    ["rate", "auto"],
    ["refusals", "shadow"],
  ]);
  expect(family?.checks[0]?.numbers).toEqual({ slo_percent: 99, window_s: 60 });
  expect(unknown?.checks).toEqual([]);
});

test("a rung has its steps in order, and what a person does instead", () => {
  const [rung] = policyOf(POLICY).ladder;
  expect(rung?.steps).toEqual([
    { name: "evidence", withinS: 10 },
    { name: "redeploy", withinS: 210 },
  ]);
  expect(rung?.byHand).toBe("`understudy mode set modal`");
});

test("the closing rule takes its window from the success rate", () => {
  expect(policyOf(POLICY).closing).toMatchObject({ windowS: 60, sloPercent: 99, attempts: 5 });
});

test("what is no policy breaks nothing", () => {
  expect(policyOf(null)).toMatchObject({ families: [], ladder: [], closing: null, cutover: null });
  expect(policyOf({ families: "x", ladder: [3], cutover: 7 })).toMatchObject({ families: [], cutover: null });
});

test("limits are read from the page, each under its family", () => {
  const page = [
    "# Restoration playbook",
    "## 1. success_rate",
    "| check | mode | trips at | cure |",
    "|---|---|---|---|",
    "| rate | auto | speak below 99 % | env_switch |",
    "## Ladder",
    "| check | mode | trips at | cure |",
    "|---|---|---|---|",
    "| other | auto | is no check | none |",
  ].join("\n");
  expect([...limitsOf(page)]).toEqual([["success_rate/rate", "speak below 99 %"]]);
});
