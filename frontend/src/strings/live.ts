/** Freshness, verdicts, states and orders: what every page of the console says in the same words. */
export const live = {
  asOf: "as of",
  old: "Stale",
  nothingNewer: "Nothing here is newer than",
  neverSeen: "never seen",
  reasons: {
    waiting: "Waiting for the guard's first answer.",
    lost: "The guard does not answer.",
    silent: "The guard has said nothing for a while.",
    stuck: "The guard answers, but it has completed no look for a while.",
  },
  key: {
    label: (label: string) => `Key: ${label}`,
    mayLook: "may look only",
    mayNot: "This is the machine's own key. It may look, and it agrees to nothing.",
  },
  verdict: (words: string) => `Verdict: ${words}`,
  noVerdict: "Not looked yet",
  state: (words: string) => `Incident: ${words}`,
  titles: {
    stale: "? Stale",
    fail: "! FAIL",
    incident: (state: string) => `! ${state}`,
    approval: "! Approval wanted",
    blind: "? BLIND",
    drift: "! Drift",
    alarm: "! Alarm",
  },
} as const;

export const orders = {
  reason: "Reason",
  reasonHint: "Goes into the journal with your name.",
  reasonMissing: "Say why, in a few words.",
  done: "Done.",
  mayNot:
    "This is the machine's own key: it may look, and it agrees to nothing. Sign in with a key of yours to act.",
  unknown: "Whose key this is could not be asked yet.",
} as const;
