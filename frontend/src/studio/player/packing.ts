import type { Bytes } from "./bytes";
import type { Fragments } from "./fragments";

/** What comes of the packing. */
export interface PackingEvents {
  packed: (fragment: Bytes) => void;
  /** All that was pushed is packed. */
  finished: () => void;
  failed: (detail: string) => void;
}

/** Packs audio piece after piece; what packs it is loaded when it is first needed. */
export class Packing {
  private work: Promise<Fragments>;
  private stopped = false;

  constructor(private readonly events: PackingEvents) {
    this.work = import("./fragments").then(({ Fragments }) => new Fragments(events.packed));
    this.work.catch(this.fail);
  }

  push(piece: Bytes): void {
    this.next((fragments) => fragments.push(piece));
  }

  end(): void {
    this.next(async (fragments) => {
      await fragments.finish();
      if (!this.stopped) this.events.finished();
    });
  }

  stop(): void {
    this.stopped = true;
  }

  private next(step: (fragments: Fragments) => Promise<void>): void {
    this.work = this.work.then(async (fragments) => {
      if (!this.stopped) await step(fragments);
      return fragments;
    });
    this.work.catch(this.fail);
  }

  private readonly fail = (reason: unknown) => {
    if (this.stopped) return;
    this.stopped = true;
    this.events.failed(`it could not be packed: ${String(reason)}`);
  };
}
