import { providerName } from "./operators";

/** What a restoration can return to. */
export const safekeeping = {
  title: "Known-good and backups",
  about: "What a restoration can return to: the state that was proven good, and the database as it was.",

  knownGood: "Known-good",
  knownGoodAbout:
    "Everything that must be as it was when it was good. Rollbacks of settings and code return to this record.",
  recorded: "Recorded",
  by: (who: string) => `by ${who}`,
  record: (seq: number) => `Record ${seq}`,
  current: "in force",
  changed: "From a changed checkout",
  changedHelp:
    "The checkout differed from its commit when this was recorded: the revision alone does not name it.",
  parts: {
    tag: "Tag",
    revision: "Revision",
    release: "Release",
    environment: "Environment",
    environment_sha256: "Digest of its settings",
    migrations_head: "Migration head",
    mode: "Provider",
    region: "Region of Qwen",
    qwen_key_fingerprint: "Fingerprint of Qwen's key",
  },
  hashOf: (part: string) => `the value of: ${part}`,
  none: "none",
  noRelease: "none: a code rollback cannot start from it",
  provider: (mode: string | null) => providerName(mode),
  follow: (ok: number, of: number) =>
    ok === of ? `All ${of} processes run it.` : `${ok} of ${of} processes run it.`,
  astray: (kind: string, host: string, pid: number) => `${kind} (${host}, process ${pid}) does not.`,
  noProcesses: "No process has reported to compare with it.",
  history: "Earlier records",
  historyColumns: {
    record: "Record",
    at: "When",
    who: "Who",
    why: "Why",
    changes: "Changed from the one before",
  },
  nothingChanged: "nothing",
  firstRecord: "the first one",
  empty: "Nothing is recorded as known-good",
  emptyHelp:
    "Without a record the guard can step back to the known-good provider, and to nothing else. Record the state when all checks pass:",
  command: 'understudy known-good record --reason "all checks pass"',
  commandLabel: "the command",

  backups: "Backups",
  backupsAbout:
    "Proven means: checksums, a full decode, a restore into a scratch database, and every count and the catalog compared.",
  newest: "Newest proven",
  nothingProven: "none",
  restoredNow: "What a database restore would take now.",
  count: "Kept",
  size: "Together",
  alarm: (why: string) => `Alarm: ${why}`,
  create: "Back up now",
  createTitle: "Back up now?",
  createAbout:
    "One snapshot of the database and the audio that is not kept yet. Then it is proven by a trial restore beside the live database, which is not touched.",
  createStarted: "The backup has begun.",
  verify: "Prove",
  verifyNamed: (id: string) => `Prove the backup ${id} again`,
  verifyTitle: "Prove this backup again?",
  verifyAbout: (id: string) =>
    `${id} is read wholly and restored into a scratch database. A failure takes an earlier proof back.`,
  verifyStarted: "It is being proven.",
  jobs: { backup: "Backup", verify: (id: string | null) => `Proof of ${id ?? ""}` },
  columns: { id: "Backup", at: "Made", size: "Size", standing: "Proof", act: "Do" },
  standing: { proven: "Proven", unproven: "Not proven", broken: "Cannot be used" },
  bytesUnknown: "unknown",
  idLabel: "the backup's id",
  noBackups: "No backup has been made yet",
  noBackupsHelp:
    "The guard that leads makes them on a schedule. Until the first one is proven the database cannot be restored.",
  unsupported: "This environment has no way to its database's backups",
  unsupportedHelp:
    "They are made by the platform that runs the database. A restoration of the database is asked for there.",
} as const;
