import { isAuthError } from "@supabase/auth-js";
import { ApiError } from "@/shared/problems";
import { signIn as words } from "@/strings/sign-in";

/** GoTrue's refusals in plain words, by its code; its own sentence where we have no better one. */
export function refusal(error: unknown): string {
  if (error instanceof ApiError) return error.detail;
  if (error instanceof Error && error.message === "confirm_email") return words.confirmByMail;
  if (!isAuthError(error)) return words.failed;
  if (error.name === "AuthRetryableFetchError" || error.status === 0) return words.away;
  const code = String(error.code ?? "");
  const known = (words.refusals as Readonly<Record<string, string>>)[code];
  if (known) return known;
  if (error.status === 429) return words.tooMany;
  return error.message || words.failed;
}
