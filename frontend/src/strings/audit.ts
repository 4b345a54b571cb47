/** Who ordered what. */
export const audit = {
  title: "Audit",
  about:
    "What persons ordered, and what was done to mode, writes and cutover, by whom and why. Newest first.",
  person: "By whom",
  personHint: "A name, or an actor such as guard.",
  mine: "Mine",
  everybody: "Everybody",
  showOf: (who: string) => `Show only what ${who} did`,
  partial:
    "The product's database is away: changes of mode, write freeze and cutover are missing here until it is back.",
  sources: {
    journal: "Incident",
    mode: "Mode",
    freeze: "Writes",
    keys: "Keys",
    cutover: "Cutover",
    job: "Job",
  },
  because: "Why:",
  incident: "Incident",
  detail: "Details",
  empty: "Nothing has been ordered yet",
  emptyHelp: "What a person orders here or on the command line stands in this list from then on.",
  emptyPerson: (who: string) => `Nothing by ${who} is on record`,
  emptyPersonHelp: "Look at what everybody did, or check the name.",
  emptyPage: "There is nothing older",
  newest: "To the newest",
  newer: "Newer",
  older: "Older",
  range: (from: number, to: number) => `${from} to ${to}`,
  pages: "Pages of the audit",
} as const;
