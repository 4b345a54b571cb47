/** What the service takes as it is; anything else that the browser can play is sent as WAV. */
const BY_TYPE: Readonly<Record<string, string>> = {
  "audio/wav": "audio/wav",
  "audio/x-wav": "audio/wav",
  "audio/wave": "audio/wav",
  "audio/vnd.wave": "audio/wav",
  "audio/mpeg": "audio/mpeg",
  "audio/mp3": "audio/mpeg",
  "audio/mp4": "audio/mp4",
  "audio/x-m4a": "audio/mp4",
  "audio/m4a": "audio/mp4",
};
const BY_ENDING: Readonly<Record<string, string>> = { wav: "audio/wav", mp3: "audio/mpeg", m4a: "audio/mp4" };
/** Of a file to be read at all: decoded, an hour of it would fill the memory of a phone. */
export const MOST_READ_BYTES = 100 * 1024 * 1024;
export const LONGEST_S = 180;

/** The content type to send a file with; null where the service would not take it. */
export function acceptedType(type: string, name: string): string | null {
  const known = BY_TYPE[type.split(";")[0]?.trim().toLowerCase() ?? ""];
  if (known) return known;
  // Some systems give no type, or one of their own.
  const ending = name.split(".").at(-1)?.toLowerCase() ?? "";
  return type === "" ? (BY_ENDING[ending] ?? null) : null;
}

/** What a file dialog offers. */
export const ACCEPT = "audio/*,.wav,.mp3,.m4a,.ogg,.webm,.flac,.aac";

/** Whether somebody dropped something that can be sound at all. */
export function maySound(type: string, name: string): boolean {
  if (type.startsWith("audio/") || type.startsWith("video/")) return true;
  return /\.(wav|mp3|m4a|mp4|ogg|oga|opus|webm|flac|aac|aiff?)$/i.test(name);
}
