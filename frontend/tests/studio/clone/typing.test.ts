import { expect, test } from "vitest";
import { isTyped } from "@/studio/pages/clone/typing";

test("a digit is typed, and a step by an arrow is not, in any browser", () => {
  expect(isTyped(new InputEvent("input", { inputType: "insertText" }))).toBe(true);
  expect(isTyped(new InputEvent("input", { inputType: "deleteContentBackward" }))).toBe(true);
  expect(isTyped(new InputEvent("input", { inputType: "insertFromPaste" }))).toBe(true);
  expect(isTyped(new InputEvent("input", { inputType: "" }))).toBe(false);
  expect(isTyped(new InputEvent("input", { inputType: "insertReplacementText" }))).toBe(false);
  expect(isTyped(new Event("input"))).toBe(false);
});
