/** The overview. Sentences are whole: nobody puts them together at three in the morning. */
export const overview = {
  title: "Overview",
  about: (environment: string) => `Environment: ${environment}`,
  providers: { qwen: "Qwen", modal: "Modal" } as Readonly<Record<string, string>>,

  sentence: {
    asking: "Asking the guard how speech stands.",
    unreachable: "Unknown: the guard does not answer, and nothing was heard of it yet.",
    past: (time: string) => `Unknown since ${time}.`,
    pastWas: (sentence: string) => `What was true then: “${sentence}”`,
    notLooked: "Unknown: the guard has not completed a look yet.",

    safe: (provider: string, rate: string, calls: string, window: string) =>
      `Speech is safe. ${provider} serves, ${rate} of ${calls} calls in the last ${window} succeeded.`,
    safeQuiet: (provider: string, window: string) =>
      `Speech is safe. ${provider} serves; nobody spoke in the last ${window}.`,
    unsure: (provider: string, rate: string, calls: string, window: string) =>
      `Nothing wrong was seen, but too little to be sure. ${provider} serves, ${rate} of ${calls} calls in the last ${window} succeeded.`,
    unsureQuiet: (provider: string) =>
      `Nothing wrong was seen, but too few calls to be sure. ${provider} serves.`,
    quiet: (provider: string) => `Nobody speaks. ${provider} serves, and there are no calls to judge.`,
    quietProbed: (provider: string) => `Nobody speaks. ${provider} serves; the last canary heard speech.`,
    quietProbeFailed: (provider: string) =>
      `Nobody speaks, and the last canary on ${provider} heard no speech.`,
    blind: (detail: string) => `Speech cannot be seen: ${detail}.`,
    frozenWrites: (time: string, who: string, reason: string) =>
      `Nothing new is spoken: writes are frozen since ${time} by ${who}: ${reason}`,
    failingNoAction: (provider: string, rate: string, calls: string, window: string, because: string) =>
      `Speech is failing on ${provider}: ${rate} of ${calls} calls in the last ${window} succeeded. No action was taken because ${because}.`,
    because: {
      shadow: "this check only counts (mode shadow)",
      disarmed: "this check is disarmed",
      notLeading: "no guard leads",
      standsBy: "this guard stands by; another one leads",
      soon: "the guard has only just seen it",
    },
    otherFailing: (safe: string, family: string) => `${safe} But ${family}.`,

    broke: {
      speech: (provider: string) => `Speech is failing on ${provider}`,
      speechWas: (provider: string) => `Speech was failing on ${provider}`,
      asked: (who: string, what: string) => `${who} asked for: ${what}`,
      plain: (title: string) => title,
    },
    open: (broke: string) => `${broke}. The guard decides what to do.`,
    openAsks: (broke: string, instruction: string) =>
      `${broke}: no action was taken because this needs a person. ${instruction}`,
    awaits: (broke: string, plan: string, persons: string, time: string) =>
      `${broke}: no action was taken because ${persons} must agree to “${plan}” before ${time}.`,
    persons: (missing: number) => (missing === 1 ? "one person" : `${missing} persons`),
    restoring: (broke: string, action: string) => `${broke}. Being restored: ${action}.`,
    restoringSince: (broke: string, action: string, time: string) =>
      `${broke}. Being restored since ${time}: ${action}.`,
    serves: (broke: string, provider: string, time: string) => `${broke}; ${provider} serves since ${time}.`,
    mitigated: (broke: string, time: string) => `${broke}; mitigated at ${time}.`,
    verifying: (done: number, of: number) => `Being verified: ${done} of ${of} points.`,
    verifyingSoon: "It is being verified.",
    points: (done: number, of: number) => `Verified: ${done} of ${of} points.`,
    red: (count: number) =>
      count === 1 ? "One point of the verification failed." : `${count} points of the verification failed.`,
    proving: (what: string) => `Waiting for proof of recovery: ${what}.`,
    recovered: (time: string) => `Recovered at ${time}; it closes when the report is written.`,
    held: (broke: string, who: string, reason: string) => `${broke}. ${who} holds it: ${reason}`,
    hold: (broke: string, reason: string) =>
      `${broke}: nothing more is done because it is on hold. ${reason}`,
    aborting: (broke: string, who: string, reason: string) => `${broke}. ${who} aborts it: ${reason}`,
    frozen: (broke: string, reason: string) => `${broke}: nothing more is tried. ${reason}`,
    ended: (broke: string, state: string) => `${broke}. ${state}.`,
    noReason: "The journal says why.",
    theGuard: "The guard",
    theGuardInside: "the guard",
    somebody: "Somebody",

    standsBy: (holder: string) => `This guard stands by; ${holder} leads.`,
    nobodyLeads: "No guard leads: whatever breaks now, nothing acts on it.",
    drift: (detail: string) => `Environment and live mode disagree: ${detail}.`,
    lagging: (n: number) =>
      n === 1 ? "One process does not follow the mode yet." : `${n} processes do not follow the mode yet.`,
    unmoded: (n: number) =>
      n === 1
        ? "One process has not read the mode for a while."
        : `${n} processes have not read the mode for a while.`,
    noProcesses: "No process of the product reports.",
    blindFamilies: (names: string) => `Cannot be seen: ${names}.`,
    unresolved: (names: string) => `Also failing: ${names}.`,
    readsClosed: (name: string, time: string, who: string, reason: string) =>
      `Reads of ${name} are closed since ${time} by ${who}: ${reason}`,
    valveClosed: (name: string, time: string, who: string, reason: string) =>
      `The valve ${name} is closed since ${time} by ${who}: ${reason}`,
    writesFrozen: (time: string, who: string, reason: string) =>
      `Writes are frozen since ${time} by ${who}: ${reason}`,
    alarms: (n: number) => (n === 1 ? "One alarm stands." : `${n} alarms stand.`),
  },

  families: {
    success_rate: "Success rate",
    realtime_failures: "Realtime failures",
    playback: "Playback",
    cost: "Cost",
    data_integrity: "Data integrity",
    security: "Security",
    outside: "Alerts from outside",
    request: "Asked for by a person",
  } as Readonly<Record<string, string>>,
  familyFails: (family: string, detail: string) => `${family.toLowerCase()} is failing: ${detail}`,

  action: {
    heading: "What you can do",
    nothing: "Nothing to do.",
    unknown: "Nothing may be pressed.",
    nothingWhy: {
      safe: "Nothing is broken, and nothing waits for a person.",
      failing: "Something fails that no button here cures. The condition below says what it is.",
      alarm: "Speech is not in danger, but something stands wrong: read it below.",
      restoring: "The service restores itself; the incident shows each step.",
      verifying: "The service verifies the restoration; the incident shows each point.",
      proving: "The service is restored and verified; it waits until recovery is proven.",
      closing: "It is over; the report stands in the incident.",
      deciding: "The guard decides; if it needs a person, the button stands here.",
      stale:
        "What is shown is not the present, and old facts are no reason to act. Where the guard runs, `understudy guard --check` says how it is; `understudy status` shows the product without it.",
      agreed: (missing: string) => `You have agreed; ${missing} more must.`,
      own: "You asked for it, so somebody else must agree to it.",
      aborting: "It ends at the next consistent side.",
      knownGood: (provider: string) =>
        `${provider}, the known-good provider, serves already; there is nowhere to step back to. Follow the incident, or the runbook.`,
      unseen: "The guard cannot see enough to say. Look at the sources and alarms below.",
      cutover: (percent: number) =>
        `A cutover is at ${percent} % of tenants, and nothing speaks against it. Nothing waits for a person.`,
    },
    approve: "Look at the plan and approve it",
    approveWhy: (title: string, persons: string, time: string) =>
      `“${title}” waits for ${persons} until ${time}. Each step stands in the incident.`,
    resume: "Resume the incident",
    resumeWhy: {
      held: (who: string, reason: string) => `${who} holds it: ${reason}`,
      hold: "It is on hold. Resuming proposes again what nobody answered, and tries again what failed.",
      frozen: "Nothing more is tried by itself. Resuming tries again what failed.",
    },
    resumeTitle: "Resume the incident",
    resumeAbout:
      "The guard goes on: it tries again what failed, and proposes again what nobody answered. Plans that need agreement still need it.",
    resumed: "The incident goes on.",
    return: "Return everybody from the cutover",
    returnWhy: (percent: number, why: string) =>
      `${percent} % of tenants are on the candidate, and ${why}. Returning is never refused.`,
    returnTitle: "Return everybody",
    returnAbout: "Every tenant of the cutover is served by the provider of before, from the next call on.",
    returned: "Everybody is back.",
    returnedNone: "No cutover was on; nothing was changed.",
    stepBack: (provider: string) => `Step back to ${provider}`,
    stepBackWhy: (provider: string) => `${provider} is known to be good. This is the switch back, by hand.`,
    byHand: (provider: string) => `Step back to ${provider} by hand`,
    stepBackAbout:
      "An incident opens in your name, and the guard carries this out. Speech under way is finished where it began.",
    stepBackAsked: (incident: string) => `Asked for: incident ${incident}.`,
    stepBackAlready: (incident: string) => `That is under way already: incident ${incident}.`,
    planLoading: "Asking what it would do.",
    planSteps: "What it would do",
    planStep: (changes: boolean) => (changes ? "changes something" : "looks only"),
    planApprovals: (n: number) =>
      n === 0
        ? "Nobody else must agree."
        : n === 1
          ? "One other person must agree first."
          : `${n} other persons must agree first.`,
    planDigest: (digest: string) => `Plan ${digest}`,
    open: "Open the incident",
    openCutover: "Open the cutover",
  },
  cutoverWhy: {
    failing: (names: string) => `${names} fails`,
    speech: "speech is failing",
  },

  mode: {
    heading: "Mode and processes",
    value: "Mode",
    epoch: "Epoch",
    since: "In force since",
    by: (actor: string, reason: string) => `By ${actor}: ${reason}`,
    none: "The mode was not read yet.",
    agree: (variable: string, value: string) => `${variable} and the live mode agree: ${value}.`,
    envUnknown: (variable: string) => `What ${variable} is in the environment is not known.`,
    behind: (highest: number) =>
      `The guard has seen epoch ${highest} before: this row is from an older state of the database.`,
    process: "Process",
    state: "State",
    follows: "Follows",
    seen: "Last seen",
    revision: "Revision",
    lagging: "behind",
    follow: "follows",
    drifting: "drifts from its environment",
    knownGoodBad: "known-good not checked out",
    unknown: "unknown",
    table: "Processes and the mode that each holds",
    nobody: "No process of the product reports.",
  },

  incidents: {
    heading: "Last incidents",
    none: "Nothing has broken yet.",
  },

  judged: {
    heading: "The six conditions",
    checks: (n: number) => (n === 1 ? "1 check" : `${n} checks`),
    modes: { shadow: "counts only", pause: "asks a person", auto: "acts" } as Readonly<
      Record<string, string>
    >,
    wouldHave: (n: number) => `would have fired ${n} times`,
    disarmed: "disarmed",
  },
  detectable: {
    heading: "What could go unseen",
    none: "There are too few calls today to say how small an error could be seen.",
    every: (calls: string, span: string) =>
      `At today's traffic (${calls} calls in ${span}) only a complete failure would be noticed in one window.`,
    some: (rate: string, calls: string, span: string, slo: string) =>
      `At today's traffic (${calls} calls in ${span}) an error rate of ${rate} would be noticed four times in five; the objective is ${slo}.`,
  },
  alarms: {
    heading: "Alarms",
    none: "No alarm stands.",
    names: { shadow: "Only counted:", disarmed: "Disarmed:", drift: "Drift:" } as Readonly<
      Record<string, string>
    >,
    wouldHave: (family: string, check: string) => `${family} (${check}) would have`,
  },
  sources: {
    heading: "Sources",
    label: "When each part of the signals was read",
    source: "Source",
    read: "Read",
    state: "State",
    sees: "sees",
    none: "Nothing was read yet.",
    names: {
      calls: "Provider calls",
      playback: "Playback",
      cost: "Cost",
      integrity: "Data integrity",
      security: "Security",
    },
  },
  probes: {
    heading: "Canaries",
    none: "No canary has spoken yet.",
    active: (provider: string) => `${provider}, serving`,
    standby: (provider: string) => `${provider}, standing by`,
    heard: "heard speech",
    notHeard: "heard no speech",
    took: (latency: string, first: string | null) =>
      first === null ? latency : `${latency}, first audio after ${first}`,
    paused: (why: string) => `Paused: ${why}`,
    spent: (money: string) => `${money} spent today.`,
    before: (ok: number, of: number) => `${ok} of the last ${of} heard speech`,
  },
  guard: {
    heading: "The guard",
    leads: "Leads and acts.",
    standsBy: (holder: string) => `Stands by; ${holder} leads.`,
    nobody: "Does not lead, and nobody else does.",
    looks: (age: string, took: string) => `Last look ${age} ago, took ${took}.`,
    policy: (digest: string) => `Policy ${digest}`,
    changed: (how: string) => `The policy's file has changed: ${how}`,
    outbox: (n: number) => (n === 1 ? "One notification waits." : `${n} notifications wait.`),
    dead: (n: number) => (n === 1 ? "One notification was given up." : `${n} notifications were given up.`),
  },
} as const;
