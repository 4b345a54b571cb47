import { expect, test } from "vitest";
import { levelsOf, linesOf, type Row, readingOf } from "@/operations/pages/playbook/simulated";

function row(condition: string, calls: number, changes: Partial<Row>): Row {
  return {
    rule: "guarded",
    calls_per_minute: calls,
    condition,
    false_trips_per_day: null,
    detect_p50_s: null,
    detect_p95_s: null,
    false_trips_per_day_upper: null,
    days: null,
    runs: 50,
    missed: 0,
    ...changes,
  };
}

const ROWS = [
  row("healthy", 60, { false_trips_per_day: 0, false_trips_per_day_upper: 0.2996, runs: 0 }),
  row("healthy", 1, { false_trips_per_day: 0.1, false_trips_per_day_upper: 0.47, runs: 0 }),
  row("outage", 1, { detect_p50_s: 276, detect_p95_s: 545 }),
  row("outage", 60, { detect_p50_s: 14, detect_p95_s: 20 }),
  row("fail_5", 1, { missed: 40 }),
  row("fail_5", 60, { detect_p50_s: 191, detect_p95_s: 419 }),
];

test("levels of traffic begin with the least", () => {
  expect(levelsOf(ROWS)).toEqual([1, 60]);
});

test("quiet conditions show trips a day, trouble the time until it is seen", () => {
  const lines = linesOf(ROWS, "guarded");
  expect(lines.map((line) => [line.condition, line.quiet])).toEqual([
    ["healthy", true],
    ["outage", false],
    ["fail_5", false],
  ]);
  expect(lines[0]?.cells.map((cell) => cell.text)).toEqual(["0.1", "0 (< 0.3)"]);
  expect(lines[1]?.cells[1]?.text).toBe("14.0 s / 20.0 s");
  expect(lines[2]?.cells[0]).toMatchObject({
    text: "> 4 h 00 min / > 4 h 00 min, 40 of 50 missed",
    bad: true,
  });
  expect(linesOf(ROWS, "literal")).toEqual([]);
});

test("one reading says what the rows come to", () => {
  expect(readingOf(ROWS, "guarded")).toBe(
    "In a healthy service it trips up to 0.1 times a day for nothing. An outage is seen after 14.0 s at 60 calls a minute and 4 min 36 s at 1. Where 5 % of calls fail, it is sure to see it from 60 calls a minute on, within 6 min 59 s.",
  );
  expect(readingOf(ROWS, "literal")).toBeNull();
});
