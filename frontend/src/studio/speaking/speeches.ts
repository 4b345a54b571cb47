import { ApiError, sentenceOf } from "@/shared/problems";
import { common } from "@/strings/common";
import type { Player, Sink } from "../player/engine";
import { audioLink } from "../player/links";
import { sounds, type Track } from "../player/playback";
import { afterBreak, type Broken, type Fate } from "./decisions";
import { isUnderWay, type Run } from "./run";
import {
  cancelTask,
  endWasAskedFor,
  findTask,
  freshKey,
  isOver,
  type Order,
  openStream,
  readStream,
  startTask,
  untilOver,
} from "./speech";

const ABOUT_CHARS = 120;

export function trackOf(generationId: string, voiceName: string, text: string): Track {
  return { key: `generation:${generationId}`, title: voiceName, about: text.slice(0, ABOUT_CHARS) };
}

/** What of a generation the lists have to ask for anew. */
export type Changed = (what: "tasks" | "languages") => void;

/** Speaks what is asked for, one at a time; outlives the page that asked. */
export class Speeches {
  private run: Run | null = null;
  private abort = new AbortController();
  /** Kept while nobody knows whether the last press was taken: the next one must not be a second. */
  private key: string | null = null;
  private readonly listeners = new Set<() => void>();

  constructor(
    private readonly player: Player,
    private readonly changed: Changed,
  ) {}

  readonly snapshot = (): Run | null => this.run;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  /** Hears the first sound of what is spoken; the answer ends everything. */
  attach(): () => void {
    const unheard = this.player.subscribe(() => this.heardFirst());
    return () => {
      unheard();
      this.abort.abort();
    };
  }

  async speak(order: Order, voiceName: string, streaming: boolean): Promise<void> {
    if (isUnderWay(this.run)) return;
    const before = this.run;
    const again = before?.problem?.unknown === true && sameOrder(before.order, order);
    const key = again && this.key ? this.key : freshKey();
    this.key = key;
    this.player.prepare();
    this.abort = new AbortController();
    const { signal } = this.abort;
    this.run = {
      order,
      voiceName,
      phase: streaming ? "asking" : "making",
      startedAt: Date.now(),
      firstSoundMs: null,
      fellBack: false,
      taskId: null,
      taskStatus: null,
      generationId: null,
      estimatedMinutes: null,
      cancelling: false,
      problem: null,
    };
    this.told();
    try {
      if (!streaming || (await this.stream(order, voiceName, key, signal)) === "fall_back") {
        await this.make(order, voiceName, key, signal);
      }
    } catch (error) {
      if (signal.aborted) this.set({ phase: "cancelled", cancelling: false });
      else this.failed(error);
    }
    this.changed("tasks");
  }

  /** Ends what is under way. */
  async cancel(): Promise<void> {
    const run = this.run;
    if (!isUnderWay(run) || run.cancelling) return;
    if (run.phase !== "making" || run.taskId === null) {
      // To hang up is to cancel. A task that has not been heard of yet is found in the list, if it was begun.
      this.abort.abort();
      return;
    }
    this.set({ cancelling: true });
    try {
      await cancelTask(run.taskId);
    } catch (error) {
      this.set({ cancelling: false });
      throw error;
    }
  }

  /** Puts what is over out of sight. */
  dismiss(): void {
    if (isUnderWay(this.run)) return;
    this.run = null;
    this.told();
  }

  private async stream(
    order: Order,
    voiceName: string,
    key: string,
    signal: AbortSignal,
  ): Promise<"over" | "fall_back"> {
    let sink: Sink | null = null;
    let broken: Broken;
    let error: unknown = null;
    try {
      const { generationId, taskId, body } = await openStream(order, key, signal);
      const track = trackOf(generationId, voiceName, order.text);
      sink = this.player.openStream({ ...track, generationId, link: () => audioLink(generationId) });
      this.set({ phase: "speaking", taskId, generationId });
      this.changed("tasks");
      const end = await readStream(body, signal, sink.append);
      if (end === "whole") {
        sink.whole();
        this.set({ phase: "done" });
        return "over";
      }
      const task = await this.fate(taskId, signal);
      broken = { heard: true, task, asked: endWasAskedFor(taskId) };
    } catch (thrown) {
      sink?.drop();
      if (!(thrown instanceof ApiError)) throw thrown;
      error = thrown;
      broken = { heard: false, status: thrown.status, detail: thrown.detail };
    }
    const decision = afterBreak(broken);
    if (decision === "cancelled" || decision === "kept") sink?.drop();
    else sink?.cut("the connection broke off");
    if (decision === "cancelled") this.set({ phase: "cancelled" });
    else if (decision === "kept") this.set({ phase: "done" });
    else if (decision === "fall_back") {
      this.changed("languages");
      this.set({ phase: "making", fellBack: true, taskId: null, generationId: null, taskStatus: null });
      return "fall_back";
    } else throw error;
    return "over";
  }

  private async make(order: Order, voiceName: string, key: string, signal: AbortSignal): Promise<void> {
    const heardBefore = this.run?.firstSoundMs != null;
    const started = await startTask(order, key, signal);
    const { task_id: taskId, generation_id: generationId } = started;
    this.set({ taskId, generationId, estimatedMinutes: started.estimated_duration_minutes });
    this.changed("tasks");
    const task = await untilOver(taskId, signal, ({ status }) => this.set({ taskStatus: status }));
    if (task.status === "cancelled") this.set({ phase: "cancelled", cancelling: false });
    else if (task.status === "failed") this.failed(new ApiError(200, task.error ?? common.failed));
    else {
      this.set({ phase: "done", cancelling: false });
      // Where a part was heard before, the person says whether all of it is wanted again.
      if (!heardBefore && !sounds(this.player.snapshot())) {
        this.player.playStored(trackOf(generationId, voiceName, order.text), () => audioLink(generationId));
      }
    }
  }

  /** What became of the task of a stream that broke off; the service may need a moment to notice. */
  private async fate(taskId: string, signal: AbortSignal): Promise<Fate | null> {
    const FATE_S = 5;
    try {
      const { status } = await findTask(taskId, FATE_S, signal);
      return isOver(status) ? status : (await findTask(taskId, FATE_S, signal)).status;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      return error.status === 404 ? "deleted" : null;
    }
  }

  private failed(error: unknown): void {
    const retryAfterS = error instanceof ApiError ? error.retryAfterS : null;
    const unknown = error instanceof ApiError && error.unreachable;
    if (!unknown) this.key = null;
    this.set({
      phase: "failed",
      cancelling: false,
      problem: {
        sentence: sentenceOf(error, common.failed),
        retryAt: retryAfterS === null ? null : Date.now() + retryAfterS * 1000,
        unknown,
      },
    });
    if (error instanceof ApiError && error.status === 409) this.changed("languages");
  }

  private heardFirst(): void {
    const run = this.run;
    if (!run || run.firstSoundMs !== null || run.generationId === null) return;
    const { track, phase } = this.player.snapshot();
    if (phase === "playing" && track?.key === `generation:${run.generationId}`) {
      this.set({ firstSoundMs: Date.now() - run.startedAt });
    }
  }

  private set(some: Partial<Run>): void {
    if (!this.run) return;
    this.run = { ...this.run, ...some };
    this.told();
  }

  private told(): void {
    for (const listener of this.listeners) listener();
  }
}

function sameOrder(a: Order, b: Order): boolean {
  return a.voiceId === b.voiceId && a.text === b.text && a.language === b.language;
}
