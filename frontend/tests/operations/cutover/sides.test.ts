import { expect, test } from "vitest";
import { compare, otherGuardrails } from "@/operations/pages/cutover/sides";
import { judgement } from "./judged";

const rail = (name: string, verdict: "PASS" | "FAIL" | "NO_DATA") => ({ name, verdict, detail: name });

test("bars are as long as their values, against the longer of the two", () => {
  const calls = compare(judgement()).find((each) => each.measure === "calls");
  expect(calls?.candidate).toMatchObject({ value: 64, text: "64", share: 0.25 });
  expect(calls?.control).toMatchObject({ value: 256, share: 1 });
});

test("what nobody measured has no bar and says so", () => {
  const first = compare(judgement()).find((each) => each.measure === "first_audio");
  expect(first?.control).toEqual({ value: null, text: "not measured", share: 0 });
  const cost = compare(judgement()).find((each) => each.measure === "cost");
  expect([cost?.candidate.text, cost?.control?.text]).toEqual(["$0.0115", "not measured"]);
});

test("refusals are shown with what was asked", () => {
  const refused = compare(judgement()).find((each) => each.measure === "refused");
  expect([refused?.candidate.text, refused?.control?.text]).toEqual(["1 of 66", "0 of 256"]);
});

test("at 100 % nobody is there to compare with", () => {
  expect(compare(judgement({ control: null })).every((each) => each.control === null)).toBe(true);
});

test("of two guardrails on one measure the graver one is told", () => {
  const guardrails = [
    rail("first audio against the control", "NO_DATA"),
    rail("first audio by itself", "FAIL"),
  ];
  const first = compare(judgement({ guardrails })).find((each) => each.measure === "first_audio");
  expect(first?.guardrail?.name).toBe("first audio by itself");
});

test("the triggers' own guardrails stand apart", () => {
  const guardrails = [rail("cost", "PASS"), rail("success_rate/rate", "FAIL")];
  expect(otherGuardrails(judgement({ guardrails })).map((one) => one.name)).toEqual(["success_rate/rate"]);
});
