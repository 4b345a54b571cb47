import { describe, expect, test } from "vitest";
import { BEGINNING, listen, type Signal } from "@/studio/player/beacons";

/** What is told of a story: `[signal, ms]` pairs; the position is the time, so that both are seen. */
function told(...story: [signal: Signal, at: number][]) {
  let state = BEGINNING;
  return story.flatMap(([signal, at]) => {
    const [after, seen] = listen(state, { signal, at, positionMs: at });
    state = after;
    return seen.map((one) => `${one.kind}@${one.at}`);
  });
}

describe("what a player tells of a stream", () => {
  test("a stream that is heard from its first to its last sound", () => {
    expect(told(["playing", 100], ["tick", 500], ["whole", 900], ["ended", 2000])).toEqual([
      "started@100",
      "ended@2000",
    ]);
  });

  test("a wait for audio is a stall once it has lasted, with the time at which it began", () => {
    expect(told(["playing", 0], ["dry", 1000], ["tick", 1250], ["tick", 1251], ["tick", 1500])).toEqual([
      "started@0",
      "stalled@1000",
    ]);
  });

  test("a stall is told once, and the next one again", () => {
    const story = told(
      ["playing", 0],
      ["dry", 1000],
      ["playing", 1600],
      ["dry", 3000],
      ["tick", 3300],
      ["playing", 3400],
      ["whole", 3500],
      ["ended", 5000],
    );
    expect(story).toEqual(["started@0", "stalled@1000", "stalled@3000", "ended@5000"]);
  });

  test("a short wait, the wait before the first sound and the wait after a jump are no stalls", () => {
    expect(told(["dry", 0], ["tick", 2000], ["playing", 2100])).toEqual(["started@2100"]);
    expect(told(["playing", 0], ["dry", 1000], ["playing", 1200])).toEqual(["started@0"]);
    expect(told(["playing", 0], ["dry", 1000], ["sought", 1100], ["tick", 2000])).toEqual(["started@0"]);
  });

  test("a pause of the person is no stall, however long, and a stall ends with it", () => {
    expect(told(["playing", 0], ["paused", 1000], ["dry", 1010], ["tick", 9000])).toEqual(["started@0"]);
    expect(told(["playing", 0], ["dry", 500], ["paused", 600], ["tick", 9000])).toEqual(["started@0"]);
  });

  test("once all of it is here nothing can run dry", () => {
    expect(told(["playing", 0], ["whole", 100], ["dry", 200], ["tick", 900])).toEqual(["started@0"]);
  });

  test("a stream that breaks off ended early, and nothing after that counts", () => {
    expect(told(["playing", 0], ["cut", 700], ["ended", 900], ["dry", 950])).toEqual([
      "started@0",
      "ended_early@700",
    ]);
    expect(told(["cut", 700])).toEqual(["ended_early@700"]);
  });

  test("audio that cannot be decoded is told once", () => {
    expect(told(["playing", 0], ["undecodable", 400], ["undecodable", 410], ["ended", 500])).toEqual([
      "started@0",
      "decode_error@400",
    ]);
  });

  test("a person who leaves is no failure of the stream", () => {
    expect(told(["playing", 0], ["left", 400], ["cut", 500])).toEqual(["started@0"]);
  });

  test("the end of what is here is not the end of the stream", () => {
    expect(told(["playing", 0], ["ended", 400], ["whole", 500], ["ended", 600])).toEqual([
      "started@0",
      "ended@600",
    ]);
  });

  test("hearing it again tells nothing more", () => {
    const story = told(["playing", 0], ["whole", 100], ["ended", 600], ["playing", 700], ["ended", 1300]);
    expect(story).toEqual(["started@0", "ended@600"]);
  });
});
