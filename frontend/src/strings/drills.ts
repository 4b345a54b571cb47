const cures: Record<string, string> = {
  env_switch: "Step back to known-good",
  close_valve: "Close the valve",
  throttle_tenant: "Throttle the tenant",
  quarantine_and_repair: "Quarantine and repair",
  reapply_settings: "Known-good settings again",
  close_reads: "Close the reads",
  code_rollback: "Roll the code back",
  database_restore: "Restore the database",
};

/** Breaking a service on purpose, to see it come back. */
export const drills = {
  title: "Drills",
  about:
    "A restoration that has not been tried does not exist. A drill breaks a service of its own, watches its guard bring it back, and times it. Users notice nothing.",
  scenarios: "What can be drilled",
  cures: "Restored by",
  cure: (name: string) => cures[name] ?? name,
  run: "Run",
  runNamed: (title: string) => `Run the drill: ${title}`,
  never: "Never drilled",
  passedOf: (passed: number, runs: number) => `${passed} of ${runs} passed`,
  newest: "last",
  spread: (best: string, worst: string) =>
    best === worst ? `served again after ${best}` : `served again after ${best} to ${worst}`,

  runTitle: (title: string) => `Run this drill? ${title}`,
  runAction: "Run the drill",
  happens: "What happens",
  steps: [
    "A whole service is started in a folder of its own: database, providers, api, worker and guard. Nothing of this installation is read.",
    "Made-up tenants speak. Then one fault is caused, for real.",
    "Its guard detects, decides and acts. Plans that want a person are agreed to by two made-up operators.",
    "It ends when the incident closed, and the service is thrown away. A row and the incident's report stay.",
  ],
  lasts: "It takes two to five minutes, and the machine is busy meanwhile.",
  started: "The drill has begun.",

  running: (title: string) => `Drill: ${title}`,

  history: "What practice has shown",
  historyAbout: "Seconds from the fault. Press a column's head to sort by it.",
  empty: "No drill has been run here",
  emptyHelp:
    "Run one: a cutover wants a drill that passed lately, and nobody should meet a restoration for the first time at night.",
  filter: "Scenario",
  all: "All scenarios",
  columns: {
    at: "When",
    scenario: "Scenario",
    detect_s: "Detected",
    decide_s: "Decided",
    mitigate_s: "Served again",
    verify_s: "Verified",
    close_s: "Closed",
    passed: "Result",
  },
  sortBy: (column: string) => `Sort by: ${column}`,
  seconds: (value: number) => (value < 120 ? `${value.toFixed(1)} s` : `${(value / 60).toFixed(1)} min`),
  notReached: "not reached",
  passed: "Passed",
  failed: "Failed",
  best: "best",
  worst: "worst",
  wrong: (count: number) => (count === 1 ? "1 wrong action" : `${count} wrong actions`),
  repeated: (count: number) => (count === 1 ? "1 effect repeated" : `${count} effects repeated`),
  report: "Report",
  reportOf: (title: string) => `Report: ${title}`,
  reportTitle: "Report of the drill",
  noProblem: "It did not do what it should.",
} as const;
