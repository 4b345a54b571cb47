import { beforeEach, describe, expect, test, vi } from "vitest";
import { ApiError } from "@/shared/problems";
import type { Player } from "@/studio/player/engine";
import { SILENCE } from "@/studio/player/playback";
import * as speech from "@/studio/speaking/speech";
import { Speeches } from "@/studio/speaking/speeches";

vi.mock("@/studio/speaking/speech", async (original) => ({
  ...(await original<typeof speech>()),
  openStream: vi.fn(),
  startTask: vi.fn(),
  findTask: vi.fn(),
  untilOver: vi.fn(),
  cancelTask: vi.fn(),
}));

const order = { voiceId: "v", text: "Hello there", language: "Auto" };

function task(status: speech.Task["status"], error: string | null = null): speech.Task {
  return {
    id: "t",
    type: "generate",
    status,
    error,
    result: null,
    provider: "qwen",
    provider_status: null,
    provider_poll_count: 0,
    modal_status: null,
    modal_elapsed_seconds: null,
    modal_poll_count: 0,
    generation_id: "g",
    voice_id: "v",
    created_at: "2026-11-29T12:00:00Z",
    completed_at: null,
    delivery: "queued",
    brief: null,
  };
}

function opened(end: "whole" | "cut"): speech.OpenStream {
  const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
    start: (controller) => controller.enqueue(new Uint8Array([1])),
    pull: (controller) =>
      end === "whole" ? controller.close() : controller.error(new TypeError("network error")),
  });
  return { generationId: "live", taskId: "t-live", body };
}

function make() {
  const listeners = new Set<() => void>();
  let state = SILENCE;
  const sink = { append: vi.fn(), whole: vi.fn(), cut: vi.fn(), drop: vi.fn() };
  const player = {
    prepare: vi.fn(),
    openStream: vi.fn(() => sink),
    playStored: vi.fn(),
    snapshot: () => state,
    subscribe: (listener: () => void) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  const changed = vi.fn();
  const speeches = new Speeches(player as unknown as Player, changed);
  speeches.attach();
  const sound = (key: string) => {
    state = { ...SILENCE, phase: "playing", track: { key, title: "Ann", about: "Hello" } };
    for (const told of listeners) told();
    state = SILENCE;
  };
  return { speeches, player, sink, changed, sound };
}

const started = {
  task_id: "t",
  generation_id: "g",
  status: "processing" as const,
  is_long_running: true,
  estimated_duration_minutes: 1,
};

describe("speaking", () => {
  beforeEach(() => {
    vi.mocked(speech.startTask).mockReset().mockResolvedValue(started);
    vi.mocked(speech.untilOver).mockReset().mockResolvedValue(task("completed"));
    vi.mocked(speech.openStream).mockReset();
    vi.mocked(speech.findTask).mockReset();
  });

  test("a stream to its end", async () => {
    const { speeches, sink } = make();
    vi.mocked(speech.openStream).mockResolvedValue(opened("whole"));
    await speeches.speak(order, "Ann", true);
    expect(sink.append).toHaveBeenCalledOnce();
    expect(sink.whole).toHaveBeenCalledOnce();
    expect(speeches.snapshot()).toMatchObject({ phase: "done", generationId: "live", fellBack: false });
    expect(speech.startTask).not.toHaveBeenCalled();
  });

  test("in one piece, and then it plays", async () => {
    const { speeches, player } = make();
    await speeches.speak(order, "Ann", false);
    expect(speech.openStream).not.toHaveBeenCalled();
    expect(speeches.snapshot()).toMatchObject({ phase: "done", generationId: "g", estimatedMinutes: 1 });
    expect(player.playStored).toHaveBeenCalledOnce();
  });

  test("a stream that is refused before its audio is made in one piece, once, and plays", async () => {
    const { speeches, player, changed } = make();
    vi.mocked(speech.openStream).mockRejectedValue(
      new ApiError(504, "The speech provider took longer than 15 s."),
    );
    await speeches.speak(order, "Ann", true);
    expect(speech.startTask).toHaveBeenCalledOnce();
    expect(speeches.snapshot()).toMatchObject({ phase: "done", fellBack: true });
    expect(player.playStored).toHaveBeenCalledOnce();
    expect(changed).toHaveBeenCalledWith("languages");
  });

  test("a stream that breaks off after it was heard is made in one piece, and waits for the person", async () => {
    const { speeches, player, sink, sound } = make();
    vi.mocked(speech.openStream).mockResolvedValue(opened("cut"));
    vi.mocked(speech.findTask).mockImplementation(async () => {
      sound("generation:live");
      return task("failed");
    });
    await speeches.speak(order, "Ann", true);
    expect(sink.cut).toHaveBeenCalledOnce();
    expect(speeches.snapshot()).toMatchObject({ phase: "done", fellBack: true, generationId: "g" });
    expect(speeches.snapshot()?.firstSoundMs).not.toBeNull();
    expect(player.playStored).not.toHaveBeenCalled();
  });

  test("a stream that was stored whole although its way here broke is not made again", async () => {
    const { speeches, sink } = make();
    vi.mocked(speech.openStream).mockResolvedValue(opened("cut"));
    vi.mocked(speech.findTask).mockResolvedValue(task("completed"));
    await speeches.speak(order, "Ann", true);
    expect(sink.drop).toHaveBeenCalledOnce();
    expect(speech.startTask).not.toHaveBeenCalled();
    expect(speeches.snapshot()).toMatchObject({ phase: "done", generationId: "live" });
  });

  test("a refusal is told with its sentence and with when it may be tried again; nothing is repeated", async () => {
    const { speeches } = make();
    vi.mocked(speech.openStream).mockRejectedValue(new ApiError(429, "Your budget is used up.", 60));
    await speeches.speak(order, "Ann", true);
    const problem = speeches.snapshot()?.problem;
    expect(problem).toMatchObject({ sentence: "Your budget is used up.", unknown: false });
    expect((problem?.retryAt ?? 0) - Date.now()).toBeGreaterThan(58_000);
    expect(speech.startTask).not.toHaveBeenCalled();
  });

  test("after no answer the next press of the same is the same to the service, and of another is not", async () => {
    const { speeches } = make();
    vi.mocked(speech.openStream).mockRejectedValue(new ApiError(0, "No answer."));
    await speeches.speak(order, "Ann", true);
    expect(speeches.snapshot()?.problem?.unknown).toBe(true);
    await speeches.speak(order, "Ann", true);
    await speeches.speak({ ...order, text: "Another" }, "Ann", true);
    const [first, second, third] = vi.mocked(speech.openStream).mock.calls.map((call) => call[1]);
    expect(second).toBe(first);
    expect(third).not.toBe(first);
  });

  test("to cancel a stream is to hang up", async () => {
    const { speeches } = make();
    vi.mocked(speech.openStream).mockImplementation(
      (_order, _key, signal) =>
        new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
    );
    const speaking = speeches.speak(order, "Ann", true);
    await speeches.cancel();
    await speaking;
    expect(speeches.snapshot()).toMatchObject({ phase: "cancelled", problem: null });
  });

  test("to cancel a task asks the service, and waits for what it says", async () => {
    const { speeches } = make();
    let end: (ended: speech.Task) => void = () => undefined;
    vi.mocked(speech.untilOver).mockReturnValue(new Promise((resolve) => (end = resolve)));
    const speaking = speeches.speak(order, "Ann", false);
    await vi.waitFor(() => expect(speeches.snapshot()?.taskId).toBe("t"));
    await speeches.cancel();
    expect(speech.cancelTask).toHaveBeenCalledWith("t");
    expect(speeches.snapshot()).toMatchObject({ phase: "making", cancelling: true });
    end(task("cancelled"));
    await speaking;
    expect(speeches.snapshot()).toMatchObject({ phase: "cancelled", cancelling: false });
  });

  test("a task that failed says why", async () => {
    const { speeches, player } = make();
    vi.mocked(speech.untilOver).mockResolvedValue(
      task("failed", "The speech took too long and was stopped."),
    );
    await speeches.speak(order, "Ann", false);
    expect(speeches.snapshot()?.problem?.sentence).toBe("The speech took too long and was stopped.");
    expect(player.playStored).not.toHaveBeenCalled();
  });

  test("two presses are one speech", async () => {
    const { speeches } = make();
    await Promise.all([speeches.speak(order, "Ann", false), speeches.speak(order, "Ann", false)]);
    expect(speech.startTask).toHaveBeenCalledOnce();
  });
});
