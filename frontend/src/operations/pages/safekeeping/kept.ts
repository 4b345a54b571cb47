import type { Schemas } from "../../api/client";

export type Backup = Schemas["Backup"];
export type KnownGood = Schemas["KnownGoodRow"];
export type Process = Schemas["Status"]["processes"][number];

/** How a backup stands. `unproven`: nobody has looked, or the look is under way. */
export type Standing = "proven" | "unproven" | "broken";

export function standingOf(backup: Backup): Standing {
  if (backup.problem !== null) return "broken";
  return backup.verified_at === null ? "unproven" : "proven";
}

/** The backup that a restoration would take: the newest proven one. `backups` is newest first. */
export function usable(backups: readonly Backup[]): Backup | null {
  return backups.find((backup) => standingOf(backup) === "proven") ?? null;
}

export function totalBytes(backups: readonly Backup[]): number {
  return backups.reduce((sum, backup) => sum + (backup.size_bytes ?? 0), 0);
}

/** The processes that do not run what the newest record says; those that nobody could compare are left out. */
export function astray(processes: readonly Process[]): Process[] {
  return processes.filter((process) => process.known_good_ok === false);
}

/** What changed from the record before, by the names of the record's parts. */
export function changesOf(record: KnownGood, before: KnownGood | undefined): Part[] {
  if (before === undefined) return [];
  return PARTS.filter((part) => record[part] !== before[part]);
}

export const PARTS = [
  "tag",
  "revision",
  "release",
  "environment",
  "environment_sha256",
  "migrations_head",
  "mode",
  "region",
  "qwen_key_fingerprint",
] as const;
export type Part = (typeof PARTS)[number];
