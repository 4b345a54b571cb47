/** How documents of evidence are shown. */
export const evidence = {
  copy: (what: string) => `Copy ${what}`,
  copied: (what: string) => `Copied: ${what}`,
  cannotCopy: "This browser does not let the page copy. Select the text instead.",
  nothing: "none",
  yes: "yes",
  no: "no",
  empty: "empty",
  rows: (count: number) => (count === 1 ? "1 row" : `${count} rows`),
  facts: (count: number) => (count === 1 ? "1 fact" : `${count} facts`),
  pair: (name: string, value: string) => `${name}: ${value}`,
  row: (number: number) => `Row ${number}`,
  more: (count: number) => `Show ${count} more`,
  whole: "Everything, as JSON",
  json: "the JSON document",
} as const;
