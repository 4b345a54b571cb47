const seconds = (value: number) =>
  value < 120
    ? `${value} s`
    : value % 3600 === 0
      ? `${value / 3600} h`
      : `${Number((value / 60).toFixed(1))} min`;

const families: Record<string, string> = {
  success_rate: "Success rate",
  realtime_failures: "Realtime failures",
  playback: "Playback",
  cost: "Cost",
  data_integrity: "Data integrity",
  security: "Security",
};

const conditions: Record<string, { name: string; about: string }> = {
  healthy: { name: "Healthy", about: "0.2 % of calls fail" },
  at_slo: { name: "At the objective", about: "fails exactly what the objective allows" },
  bursty: { name: "Short bursts", about: "half of the calls fail for some 5 s at a time" },
  fail_5: { name: "5 % failing", about: "mild trouble" },
  fail_10: { name: "10 % failing", about: "trouble" },
  fail_50: { name: "50 % failing", about: "half of the calls" },
  outage: { name: "Outage", about: "every call fails" },
};

/** The policy as a page for the person on call. */
export const playbook = {
  title: "Playbook",
  about: "The policy in force: what is watched, what is done about it, and when it is over.",
  seconds,
  families,
  conditions,
  onThisPage: "On this page",
  sections: {
    families: "Six conditions",
    ladder: "The ladder",
    checks: "The eight checks",
    closing: "When it is over",
    cutover: "Forward again",
    simulation: "What the rules cost and find",
  },
  linkTo: (section: string) => `Link to: ${section}`,

  version: "Format",
  owner: "Owner",
  file: "File",
  digest: "Digest",
  digestLabel: "the digest of the policy",
  changed: (why: string) => `${why}. What is shown here stays in force until the guard starts again.`,

  modes: { auto: "Auto: acts", pause: "Pause: asks", shadow: "Shadow: counts" },
  modeAbout: {
    auto: "By itself, after the approvals of its rung.",
    pause: "An incident opens, and a person is asked.",
    shadow: "What it would have done, and does nothing.",
  },
  modesLabel: "What a failing check does",
  now: "now",
  checkCount: (count: number) => (count === 1 ? "1 check" : `${count} checks`),
  columns: { check: "Check", mode: "A failure", trips: "Trips at", cures: "Cures, first one first" },
  numbers: "Every number",
  noSentence: "Its limits could not be read as a sentence; every number stands below.",
  noCheck: "Nothing watches this condition.",
  cureRung: (rung: number) => `rung ${rung}`,
  byHandOnly: "by hand",

  ladderAbout:
    "Cheapest first. A rung is tried when the one before has not brought it back, or does not apply.",
  rung: (rung: number) => `Rung ${rung}`,
  timeBox: (value: number) => `within ${seconds(value)}`,
  approvals: (count: number) =>
    count === 0 ? "nobody needs to agree" : count === 1 ? "1 person agrees" : `${count} persons agree`,
  rollsBack: (type: string) => `rolls back: ${type}`,
  nothingBack: "rolls nothing back",
  stepsOf: (title: string) => `Steps of: ${title}`,
  byHand: "By hand instead",

  checksAbout:
    "After each restoration all of these are proven from outside, before anything counts as recovered.",
  closing: (windows: number, windowS: number, slo: number, evidence: number, operations: string) =>
    `Then ${windows} windows of ${seconds(windowS)} in a row at or above ${slo} %, with at least ${evidence} calls of users behind them, and a user's own success in: ${operations}.`,
  closingWait: (wait: number) =>
    `When that does not come within ${seconds(wait)}, somebody is paged, and the incident stays mitigated.`,
  closingOthers:
    "Other conditions must pass for as long. What only asked a person stays open until a person closes it.",
  closingFrozen: (attempts: number) =>
    `After ${attempts} attempts that did not bring it back the incident is frozen: a person decides.`,

  cutoverAbout: (advance: string, confidence: number) =>
    advance === "auto"
      ? `The guard goes on by itself when a stage has shown, with ${confidence} % confidence, what it must. Back is for everybody at once.`
      : `A person goes on when the guard says that a stage has shown, with ${confidence} % confidence, what it must. Back is for everybody at once.`,
  stageColumns: { share: "Tenants", hold: "Held for", exclude: "Must rule out" },
  share: (percent: number) => (percent === 100 ? "Everybody" : `${percent} %`),
  exclude: (percent: number) => `${percent} % failures`,
  guardrails: "Guardrails: any of these brings everybody back",
  toCutover: "How the cutover stands",

  simulationAbout:
    "The rules on the success rate, judged by the guard's own judge over ten days of synthetic traffic and fifty runs of each trouble.",
  simulate: "Simulate",
  simulateAgain: "Simulate again",
  simulateTitle: "Simulate the rules?",
  simulateWhat:
    "Half a minute of computing beside the guard, at a lower priority. It touches no traffic, and what it finds is kept until the policy changes.",
  simulateStarted: "The simulation has begun.",
  simulationNone: "These rules have not been simulated yet.",
  simulationNoneHelp:
    "Simulate them to see how often they would cry wolf, and how soon they see real trouble.",
  simulationFailed: "The simulation ended without a result.",
  simulationJob: "Simulating the rules in force",
  simulatedAt: "Simulated",
  rules: { guarded: "Guarded", literal: "Literal" },
  ruleLabel: "Rule",
  inForce: "in force",
  ruleAbout: {
    guarded: "The playbook's sentence, and evidence that chance does not explain.",
    literal: "The playbook's sentence and nothing else.",
  },
  condition: "Condition",
  callsPerMinute: (calls: number) => (calls === 1 ? "1 call/min" : `${calls} calls/min`),
  quiet: "False trips a day",
  trouble: "Time until it is seen: half of the runs / 95 % of them",
  noneBelow: (upper: string) => `0 (< ${upper})`,
  missed: (missed: number, runs: number) => `${missed} of ${runs} missed`,
  longer: (time: string) => `> ${time}`,
  reading: (trips: string, slow: string, slowCalls: number, fast: string, fastCalls: number, mild: string) =>
    `${trips} An outage is seen after ${fast} at ${fastCalls} calls a minute and ${slow} at ${slowCalls}. ${mild}`,
  readingNever: "In a healthy service it never tripped.",
  readingTrips: (trips: string) => `In a healthy service it trips up to ${trips} times a day for nothing.`,
  readingMild: (calls: number, time: string) =>
    `Where 5 % of calls fail, it is sure to see it from ${calls} calls a minute on, within ${time}.`,
  readingMildNever: "Where 5 % of calls fail, it may miss it at any traffic that was simulated.",
} as const;
