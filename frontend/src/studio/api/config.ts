import { ApiError } from "@/shared/problems";
import { common } from "@/strings/common";
import type { components } from "./schema";

export type StudioConfig = components["schemas"]["StudioConfig"];

let asked: Promise<StudioConfig | null> | null = null;

/** Asks once a page load what this installation is; null while the service is away. */
export function studioConfig(): Promise<StudioConfig | null> {
  asked ??= fetch("/api/config")
    .then((response) => (response.ok ? (response.json() as Promise<StudioConfig>) : null))
    .catch(() => null)
    .then((config) => {
      if (config === null) asked = null;
      return config;
    });
  return asked;
}

/** Where people sign in; nobody's password goes to a guessed address, so it fails while that is not known. */
export async function authOrigin(): Promise<StudioConfig["auth"]> {
  const config = await studioConfig();
  if (config === null) throw new ApiError(0, common.unreachable);
  return config.auth;
}
