import { expect, test } from "vitest";
import { type PlayerEvent, type PlayerState, play, SILENCE } from "@/studio/player/playback";

const track = { key: "generation:1", title: "Ann", about: "Hello" };
const after = (...events: PlayerEvent[]): PlayerState => events.reduce(play, SILENCE);

test("a stream can be kept as a file once all of it is stored", () => {
  const live = after({ kind: "opened", track, live: true }, { kind: "playing" });
  expect(live).toMatchObject({ phase: "playing", live: true, kept: false });
  expect(play(live, { kind: "whole" })).toMatchObject({ phase: "playing", live: false, kept: true });
});

test("a stream that breaks off is not kept, and says that it is incomplete", () => {
  const cut = after({ kind: "opened", track, live: true }, { kind: "playing" }, { kind: "cut" });
  expect(cut).toMatchObject({ live: false, cut: true, kept: false });
  expect(play(cut, { kind: "ended" })).toMatchObject({ phase: "ended", cut: true });
});

test("the end of what has arrived is no end while more may come", () => {
  const live = after({ kind: "opened", track, live: true }, { kind: "playing" }, { kind: "ended" });
  expect(live.phase).toBe("playing");
});

test("the end is where the slider ends", () => {
  const state = after(
    { kind: "opened", track, live: false },
    { kind: "playing" },
    { kind: "moved", positionS: 4.9, endS: 5 },
    { kind: "ended" },
  );
  expect(state).toMatchObject({ phase: "ended", positionS: 5 });
});

test("what failed stays failed whatever the element says afterwards", () => {
  const failed = after({ kind: "opened", track, live: true }, { kind: "failed", problem: "No." });
  expect(play(play(failed, { kind: "paused" }), { kind: "ended" })).toMatchObject({
    phase: "failed",
    problem: "No.",
  });
  expect(play(failed, { kind: "opened", track, live: false }).problem).toBeNull();
});

test("late events of what was put away change nothing; the speed stays", () => {
  const away = after(
    { kind: "rate", rate: 1.5 },
    { kind: "opened", track, live: false },
    { kind: "dismissed" },
  );
  expect(away).toEqual({ ...SILENCE, rate: 1.5 });
  expect(play(play(away, { kind: "paused" }), { kind: "moved", positionS: 1, endS: 2 })).toEqual(away);
});
