import { providerName } from "./operators";

const minutes = (seconds: number) =>
  seconds < 120
    ? `${Math.round(seconds)} s`
    : seconds < 7200
      ? `${Math.round(seconds / 60)} min`
      : `${Number((seconds / 3600).toFixed(1))} h`;

/** Forward again, stage by stage; back at once. */
export const cutover = {
  title: "Cutover",
  about:
    "Moves a growing share of tenants to the candidate, and holds each share until its calls could have shown a failure. Back is always one press, for everybody.",
  notMeasured: "not measured",
  ofAsked: (refused: string, asked: string) => `${refused} of ${asked}`,
  minutes,

  headline: {
    none: "No cutover is on",
    running: (percent: number, candidate: string) =>
      `${percent} % of tenants speak through ${providerName(candidate)}`,
    paused: (percent: number, candidate: string) =>
      `Paused: ${percent} % of tenants stay on ${providerName(candidate)}`,
    finishing: (candidate: string) => `Everybody is being moved to ${providerName(candidate)}`,
    complete: (candidate: string) => `Complete: everybody speaks through ${providerName(candidate)}`,
    returned: (mode: string | null) => `Everybody is back on ${providerName(mode)}`,
    superseded: "The last cutover was ended by a change of the mode",
  },
  states: {
    running: "Running",
    paused: "Paused",
    finishing: "Finishing",
    complete: "Complete",
    returned: "Returned",
    superseded: "Ended by the mode",
  },
  stageOf: (stage: number, stages: number) => `Stage ${stage} of ${stages}`,
  since: "since",
  began: "began",
  facts: {
    owner: "Owner",
    since: "In force since",
    stood: "Stood since",
    watched: "Watched for",
    watchedNote: "If no guard looks again until then, everybody is back by itself.",
    by: "Last order",
    plan: "Plan",
    planHash: "the digest of the plan",
    incident: "Incident",
    epoch: "Epoch",
  },
  lapsed: "watch has lapsed",
  notInForce:
    "This cutover serves nobody right now: its watch has lapsed, or the mode was written since. The guard writes the return down with its next look.",
  planDetails: "The plan as it was made",

  stages: "Stages",
  policyStages: "Stages of the policy",
  standing: { done: "Done", now: "In force", left: "Ended here", "to come": "To come" },
  everybody: "Everybody",
  tenants: (percent: number) => `${percent} %`,
  wants: (hold: number, calls: number, exclude: number) =>
    `${minutes(hold)} and ${calls} clean calls, which rule out ${exclude} % failures`,
  sample: (total: number, needed: number) => `${total} of ${needed} calls`,
  sampleDone: (total: number) => `${total} calls: the sample is there`,
  held: (left: number) => `${minutes(left)} more to hold`,
  heldDone: "held long enough",
  sampleBar: "Calls of the sample",

  gate: "What the next stage waits for",
  gateLast: "What completion waits for",
  ready:
    "Nothing. Its sample is there, and no guardrail speaks against it: a person may begin the next stage.",
  readyBlocked: (why: string) => `The stage itself is done. Not yet: ${why}`,
  hidden: (percent: number) =>
    `With these calls, failures of up to ${Number(percent.toFixed(1))} % could still go unseen.`,
  notJudged: "The guard has not judged this stage yet. It does so with each look.",
  judgedAt: "Judged",
  failing: (names: string) => `Brings everybody back: ${names}`,
  leftBehind: (tenants: number) =>
    tenants === 1
      ? "1 tenant has voices that do not speak at the candidate. The last stage would leave it behind."
      : `${tenants} tenants have voices that do not speak at the candidate. The last stage would leave them behind.`,

  comparison: "Moved beside stayed",
  comparisonAbout: (candidate: string, mode: string | null) =>
    `Tenants moved to ${providerName(candidate)} and those who stayed on ${providerName(mode)}, in the same minutes, since this stage began.`,
  comparisonAlone: "At 100 % nobody stays, so there is nothing to compare with: the limits stand alone.",
  moved: "Moved",
  stayed: "Stayed",
  verdict: "Guardrail",
  nobodyStayed: "nobody",
  noLimit: "no limit of its own",
  measures: {
    calls: "Calls",
    failures: "Failures",
    success: "Success rate",
    first_audio: "First audio, mean",
    latency: "Latency, mean",
    cost: "Cost of 1,000 characters",
    refused: "Refused with 409",
  },
  triggers: "Triggers against the candidate",
  noTriggers: "No trigger fails on the candidate.",

  moves: "Moves away from known-good",
  movesLeft: (left: number, of: number, period: number) => `${left} of ${of} left in ${minutes(period)}`,
  movesSpacing: (spacing: number) => `One in ${minutes(spacing)}. Towards known-good nobody is ever asked.`,
  nextMove: "The next one may be made from",
  noMoves: "No move away is on record.",
  forgiven: "no longer counts: thawed since",
  frozen: (why: string) => `Moves away are frozen: ${why}`,
  frozenSince: "since",
  thaw: "Thaw moves",
  thawAbout: "Moves away from known-good are counted anew from now. Say why it is safe to move again.",
  thawed: (was: boolean) =>
    was ? "Moves may be made again." : "They were not frozen; they are counted anew.",
  thaws: "Thawed before",

  stays: "Tenants who stay",
  staysAbout:
    "Their share was reached, but a voice they used lately does not speak at the candidate. They join when it was carried over.",
  tenant: "Tenant",
  voices: "Voices in the way",
  allStays: (count: number) => `Show all ${count}`,
  nobodyStays: "Nobody of the share stays.",

  stabilizationAbout: (candidate: string) => `${providerName(candidate)} serves everybody since`,
  stabilizationCounted: "What must hold until the old provider may go is counted from there.",

  history: "History",
  columns: { at: "When", what: "What", share: "Share", who: "Who", reason: "Why", detail: "Evidence" },
  changed: (seq: number, state: string, stage: number) => `Cutover ${seq}: ${state}, stage ${stage}`,
  evidence: "Evidence",
  incidentLink: "Incident",

  orders: {
    label: "Orders of the cutover",
    next: "Next stage",
    nextEverybody: "Move everybody",
    pause: "Pause",
    resume: "Resume",
    return: "Bring everybody back",
    nextTitle: (percent: number) => (percent === 100 ? "Move everybody?" : `Move ${percent} % of tenants?`),
    nextAbout: (percent: number, candidate: string) =>
      `${percent} % of tenants will speak through ${providerName(candidate)}, on every process within a second. It counts as a move away from known-good.`,
    pauseAbout: "The share stays as it is, and no stage begins. The guardrails stay in force.",
    resumeAbout: "The stage goes on from here. It counts as a move away from known-good.",
    returnTitle: "Bring everybody back",
    returnAbout: (mode: string | null) =>
      `Every tenant speaks through ${providerName(mode)} again, on every process within a second. Whichever stage it is, this is never refused.`,
    returnUnknown:
      "How the cutover stands cannot be read right now. If one is on, this brings everybody back to known-good.",
    leaveBehind: "Why may they be left behind?",
    leaveBehindHint: "They keep their voices, which answer 409 until they are carried over.",
    leaveBehindMissing: "Say why these tenants may be left behind, or carry their voices over first.",
    done: {
      next: "The next stage has begun.",
      pause: "Paused.",
      resume: "It goes on.",
      returned: "Everybody is back.",
      nothing: "No cutover was on. Nothing was changed.",
    },
    behind: (processes: number) =>
      processes === 1 ? " One process does not hold it yet." : ` ${processes} processes do not hold it yet.`,
    why: (order: string, why: string) => `${order}: ${why}`,
  },
  goBack: "Switch everybody back",
  goBackAbout: (mode: string) =>
    `Opens an incident in which the guard steps back to ${providerName(mode)}: live, in the environment, and with a redeployment, each step proven.`,
  goBackDone: "The guard steps back. It is followed in the incident.",

  begin: "Begin one",
  beginAgain: "Begin another one",
  beginAbout:
    "A cutover is begun on the command line, because it first looks at everything that could stand in its way.",
  commands: {
    plan: {
      text: "understudy cutover plan --max-cost 5 --owner NAME --probe",
      about:
        "Shows the stages, who would stay, what it costs, and what stands in the way. It changes nothing.",
    },
    start: {
      text: 'understudy cutover start --owner NAME --reason "WHY"',
      about: "Looks at everything again, then moves the first share. From there on it is led from this page.",
    },
  },
  command: "the command",
} as const;
