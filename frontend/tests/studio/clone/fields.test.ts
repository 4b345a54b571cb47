import { expect, test } from "vitest";
import { asksForConsent, EMPTY, problemsOf } from "@/studio/pages/clone/fields";

const FULL = { ...EMPTY, name: "Ada", transcript: "Hello." };

test("a name and a text are all that must be there", () => {
  expect(problemsOf(FULL, false)).toEqual({});
  expect(Object.keys(problemsOf(EMPTY, false))).toEqual(["name", "transcript"]);
  expect(problemsOf({ ...FULL, name: "👩‍🚀".repeat(34) }, false)).toHaveProperty("name");
});

test("consent needs a name, and is needed where the service asked for it", () => {
  expect(problemsOf({ ...FULL, consent: true }, false)).toHaveProperty("consentName");
  expect(problemsOf(FULL, true)).toHaveProperty("consent");
  expect(problemsOf({ ...FULL, consent: true, consentName: "Ada L." }, true)).toEqual({});
  expect(asksForConsent("The consent of the person who is heard is required: send consent.")).toBe(true);
  expect(asksForConsent("The recording is silent.")).toBe(false);
});
