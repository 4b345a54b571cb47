import { clone as words } from "@/strings/clone";

/** Why the microphone cannot be had, and what to do about it. */
export function microphoneProblem(error: unknown): string {
  const name = error instanceof Error || error instanceof DOMException ? error.name : "";
  switch (name) {
    case "NotAllowedError":
    case "PermissionDeniedError":
      return words.microphone.refused;
    case "NotFoundError":
    case "DevicesNotFoundError":
    case "OverconstrainedError":
      return words.microphone.none;
    case "NotReadableError":
    case "TrackStartError":
    case "AbortError":
      return words.microphone.inUse;
    case "SecurityError":
    case "InsecureContextError":
      return words.microphone.insecure;
    case "NotSupportedError":
      return words.microphone.unsupported;
    default:
      return words.microphone.failed;
  }
}
