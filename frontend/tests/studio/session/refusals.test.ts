import { AuthApiError, AuthRetryableFetchError, AuthWeakPasswordError } from "@supabase/auth-js";
import { expect, test } from "vitest";
import { ApiError } from "@/shared/problems";
import { emailProblem, newPasswordHint, newPasswordProblem } from "@/studio/session/passwords";
import { refusal } from "@/studio/session/refusals";

test("what the issuer refuses is said in plain words", () => {
  expect(refusal(new AuthApiError("Invalid login credentials", 400, "invalid_credentials"))).toBe(
    "The e-mail address or the password is not right.",
  );
  expect(refusal(new AuthWeakPasswordError("Password should be longer", 422, ["length"]))).toContain(
    "longer one",
  );
  expect(refusal(new AuthRetryableFetchError("Failed to fetch", 0))).toContain("does not answer");
});

test("what we have no words for is said as the issuer said it", () => {
  expect(refusal(new AuthApiError("Signups closed on Mondays", 422, "mondays"))).toBe(
    "Signups closed on Mondays",
  );
  expect(refusal(new ApiError(503, "Changes are paused."))).toBe("Changes are paused.");
});

test("an address and a password are looked at before they are sent", () => {
  expect(emailProblem("ada@localhost")).toBeNull();
  expect(emailProblem("ada")).toContain("@");
  expect(emailProblem(" ")).toContain("Enter");
  expect(newPasswordProblem("12345")).toBe("One more character.");
  expect(newPasswordProblem("123456")).toBeNull();
  expect(newPasswordProblem("x".repeat(513))).toContain("512");
  expect(newPasswordHint("")).toContain("At least 6");
  expect(newPasswordHint("abc")).toBe("3 more characters.");
});
