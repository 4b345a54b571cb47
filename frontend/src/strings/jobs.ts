/** What takes longer than a request: backups, proofs, drills, simulations. */
export const jobs = {
  states: { running: "Running", done: "Done", failed: "Failed", stopped: "Stopped" },
  askedBy: (who: string) => `Asked for by ${who}`,
  since: "since",
  took: (duration: string) => `took ${duration}`,
  ran: (duration: string) => `for ${duration}`,
  progress: "Progress",
  starting: "It starts.",
  lines: (count: number) => `All ${count} lines`,
  stop: "Stop it",
  stopTitle: "Stop what runs?",
  stopping: "It was told to stop.",
} as const;
