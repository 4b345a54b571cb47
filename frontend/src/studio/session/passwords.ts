import { codePoints } from "@/shared/format";
import { signIn as words } from "@/strings/sign-in";

/** As the issuer has it (MINIMUM_PASSWORD_CHARS, api/gotrue.py); a Supabase project may ask for more. */
export const LEAST_CHARACTERS = 6;
export const MOST_CHARACTERS = 512;

/** What is wrong with an address, before anybody is asked; null when nothing is. */
export function emailProblem(email: string): string | null {
  const trimmed = email.trim();
  if (trimmed === "") return words.needEmail;
  return /^[^\s@]+@[^\s@]+$/.test(trimmed) ? null : words.oddEmail;
}

export function newPasswordProblem(password: string): string | null {
  if (password === "") return words.needPassword;
  const missing = LEAST_CHARACTERS - codePoints(password);
  if (missing > 0) return words.tooShort(missing);
  return codePoints(password) > MOST_CHARACTERS ? words.tooLong(MOST_CHARACTERS) : null;
}

/** The rule, and how far it is met: said while the password is written, not after it was sent. */
export function newPasswordHint(password: string): string {
  if (password === "") return words.passwordRules(LEAST_CHARACTERS);
  return newPasswordProblem(password) ?? words.longEnough;
}
