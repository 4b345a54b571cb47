import { describe, expect, test, vi } from "vitest";
import type { Schemas } from "@/operations/api/client";
import { target } from "@/operations/charts/ChartFigure";
import { groupsOf } from "@/operations/charts/mark_groups";
import { chartsOf, gridOf, indexAt, newestIndex, spoken, stacked } from "@/operations/charts/series";
import { runsOf, summaryOf } from "@/operations/charts/verdict_runs";

vi.mock("uplot", () => ({ default: class {} }));

const MINUTE = Date.parse("2026-11-29T02:00:00Z") / 1000;
const iso = (offset: number) => new Date((MINUTE + offset) * 1000).toISOString();

function pointOf(offset: number, given: Partial<Schemas["Point"]> = {}): Schemas["Point"] {
  return {
    at: iso(offset),
    calls: 10,
    failed: 0,
    success_rate: 1,
    transport: 0,
    protocol: 0,
    provider: 0,
    other: 0,
    latency_p50_ms: 300,
    latency_p95_ms: 900,
    first_audio_p50_ms: null,
    first_audio_p95_ms: null,
    cost_microusd: 1000,
    ...given,
  };
}

function windowOf(until: number, verdict: Schemas["JudgedWindow"]["verdict"]): Schemas["JudgedWindow"] {
  return {
    from: iso(until - 60),
    until: iso(until),
    provider: "qwen",
    verdict,
    calls: 10,
    failed: 0,
    success_rate: 1,
  };
}

function chartsAnswer(given: Partial<Schemas["Charts"]> = {}): Schemas["Charts"] {
  return {
    now: iso(902),
    source: "FRESH",
    as_of: iso(902),
    operation: "speak",
    bucket_s: 5,
    slo: { success_rate: 0.99, window_s: 60, windows: 2, minimum_calls: 20 },
    lanes: [
      { provider: "modal", points: [pointOf(10)] },
      {
        provider: "qwen",
        points: [pointOf(10, { failed: 4, success_rate: 0.6, transport: 1, provider: 3 }), pointOf(890)],
      },
    ],
    windows: [],
    marks: [],
    detectable: null,
    cost_microusd_per_hour: null,
    ...given,
  };
}

const answer = chartsAnswer();
const grid = gridOf(answer, 15);
const [success, failures, latency, firstAudio, cost] = chartsOf(answer, grid, (name) => name);

describe("values along time", () => {
  test("the grid has every bucket, the one that runs included", () => {
    expect(grid.xs).toHaveLength(181);
    expect(grid.until - MINUTE).toBe(905);
    expect(indexAt(grid, MINUTE + 904.9)).toBe(180);
    expect(indexAt(grid, MINUTE + 905)).toBeNull();
    expect(indexAt(grid, MINUTE - 1)).toBeNull();
  });

  test("what no record tells is nothing, never 0 or 100 %", () => {
    const qwen = success?.series.find((one) => one.label === "qwen");
    expect(qwen?.values.filter((value) => value !== null)).toEqual([60, 100]);
    expect(failures?.series[0]?.values.filter((value) => value !== null)).toHaveLength(2);
  });

  test("classes stand on each other and add up", () => {
    const index = indexAt(grid, MINUTE + 10) ?? -1;
    expect(stacked(failures?.series ?? []).map((one) => one[index])).toEqual([4, 3, 3, 0]);
    expect(stacked(failures?.series ?? []).map((one) => one[0])).toEqual([null, null, null, null]);
  });

  test("money is that of an hour at this pace, over all lanes", () => {
    const index = indexAt(grid, MINUTE + 10) ?? -1;
    expect(cost?.series[0]?.values[index]).toBeCloseTo((2000 * 720) / 1e6);
  });

  test("lanes that never streamed have no line of first audio", () => {
    expect(latency?.series.map((one) => one.label)).toEqual([
      "modal p50",
      "modal p95",
      "qwen p50",
      "qwen p95",
    ]);
    expect(firstAudio?.series).toEqual([]);
  });

  test("the objective is inside the axis, and so is the worst bucket", () => {
    expect(success?.threshold?.value).toBe(99);
    expect(success?.range[0]).toBeLessThan(60);
    const calm = chartsAnswer({ lanes: [{ provider: "qwen", points: [pointOf(10)] }] });
    expect(chartsOf(calm, grid, (name) => name)[0]?.range[0]).toBeLessThan(99);
  });

  test("a lane that serves no longer has no newest value", () => {
    if (success === undefined) throw new Error("no chart");
    expect(newestIndex(success)).toBe(indexAt(grid, MINUTE + 890));
    expect(spoken(success, newestIndex(success))).toBe("modal none, qwen 100 %");
  });
});

describe("the cursor's keys", () => {
  const press = (key: string, index: number | null, shiftKey = false) => target({ key, shiftKey }, index, 99);
  test.each([
    ["ArrowLeft", null, 99],
    ["ArrowLeft", 50, 49],
    ["ArrowLeft", 0, 0],
    ["ArrowRight", 99, 99],
    ["PageUp", 50, 60],
    ["Home", 50, 0],
    ["End", 50, 99],
    ["Escape", 50, null],
    ["Escape", null, undefined],
    ["Tab", 50, undefined],
  ] as const)("%s at %s", (key, index, to) => {
    expect(press(key, index)).toBe(to);
  });
  test("with Shift ten at once", () => expect(press("ArrowLeft", 50, true)).toBe(40));
});

describe("verdicts", () => {
  test("windows in a row with one verdict are one; a gap stays a gap", () => {
    const windows = [
      windowOf(100, "PASS"),
      windowOf(105, "PASS"),
      windowOf(110, "FAIL"),
      windowOf(200, "FAIL"),
    ];
    const runs = runsOf(windows, grid).get("qwen") ?? [];
    expect(runs.map((run) => [run.verdict, run.since - MINUTE, run.until - MINUTE])).toEqual([
      ["PASS", 95, 105],
      ["FAIL", 105, 110],
      ["FAIL", 195, 200],
    ]);
    expect(runs[0]?.left).toBeCloseTo(95 / 905);
  });

  test("what ended before is left out", () => {
    expect(runsOf([windowOf(-10, "FAIL")], grid).size).toBe(0);
  });

  test("in words, where nothing rounds to all or to nothing", () => {
    const run = (verdict: "PASS" | "FAIL", since: number, until: number) => ({
      verdict,
      since,
      until,
      left: 0,
      width: 0,
    });
    expect(summaryOf([run("PASS", 0, 9999), run("FAIL", 9999, 10_000)])).toBe(
      "Verdict windows: PASS 99 %, FAIL 1 %.",
    );
    expect(summaryOf([])).toBe("Verdict windows: no window was judged.");
  });
});

test("marks that would lie on each other are one, by its gravest", () => {
  const marks: Schemas["Mark"][] = [
    { at: iso(100), kind: "deploy", text: "started" },
    { at: iso(101), kind: "incident", text: "opened" },
    { at: iso(600), kind: "mode", text: "Mode modal" },
    { at: iso(-5), kind: "mode", text: "before" },
  ];
  const groups = groupsOf(marks, grid, 600);
  expect(groups.map((group) => [group.kind, group.marks.length])).toEqual([
    ["incident", 2],
    ["mode", 1],
  ]);
});
