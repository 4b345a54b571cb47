import { expect, test } from "vitest";
import { generate } from "@/strings/generate";
import { plainly } from "@/studio/speaking/plainly";

test.each([
  "The speech provider sent a frame that is not JSON.",
  "The connection to the speech provider failed (handshake).",
])("nobody who speaks a text has to know what this means: %s", (sentence) => {
  expect(plainly(sentence)).toBe(generate.providerFailed);
});

test("a text that was refused is not to be spoken again as it is", () => {
  const said = plainly("The speech provider refused the input (DataInspectionFailed).");
  expect(said).toBe(generate.providerRefused);
  expect(said).toContain("change it");
});

test.each([
  "This voice cannot be spoken by the active speech provider yet.",
  "Text cannot exceed 2000 characters",
])("what a person can do something about stays as it is: %s", (sentence) => {
  expect(plainly(sentence)).toBe(sentence);
});
