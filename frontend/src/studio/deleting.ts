import { useSyncExternalStore } from "react";
import { problemOf, sentenceOf } from "@/shared/problems";
import { useTell } from "@/shared/toasts";
import { deleting as words } from "@/strings/deleting";
import { authorisedFetch } from "./api/client";
import { accessToken } from "./session/auth";

/** For so long it can be undone; the service hears of it afterwards only. */
export const UNDO_MS = 6000;

export interface Deletable {
  id: string;
  /** What the DELETE goes to, with the id in it: `/api/voices/<id>`. */
  url: string;
  /** What the toast says: "“Ann” was deleted." */
  said: string;
  /** After the service has deleted it: makes lists ask again. */
  done?: () => void;
}

interface Pending {
  thing: Deletable;
  timer: ReturnType<typeof setTimeout>;
  /** Kept ready: a page that closes cannot wait for one. */
  token: string | null;
  failed: (sentence: string) => void;
}

interface Sending {
  send: (url: string, init: RequestInit) => Promise<Response>;
  sendAtLast: (url: string, init: RequestInit) => void;
  token: () => Promise<string | null>;
}

/** Deletions that wait for their time; one for the whole app, so that they outlive the page that asked. */
export class Deletions {
  private readonly pending = new Map<string, Pending>();
  private readonly listeners = new Set<() => void>();
  private hidden: ReadonlySet<string> = new Set();

  constructor(private readonly sending: Sending) {}

  /** Ids that are not to be shown any more. */
  readonly gone = (): ReadonlySet<string> => this.hidden;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  delete(thing: Deletable, failed: (sentence: string) => void): void {
    if (this.hidden.has(thing.id)) return;
    const timer = setTimeout(() => void this.carryOut(thing.id), UNDO_MS);
    const pending: Pending = { thing, timer, token: null, failed };
    this.pending.set(thing.id, pending);
    void this.sending.token().then(
      (token) => {
        pending.token = token;
      },
      () => undefined,
    );
    this.hide(thing.id, true);
  }

  /** Takes it back; false when the service was told already. */
  undo(id: string): boolean {
    const pending = this.pending.get(id);
    if (!pending) return false;
    clearTimeout(pending.timer);
    this.pending.delete(id);
    this.hide(id, false);
    return true;
  }

  /** The page goes away: tells the service of all that still wait. */
  flush(): void {
    for (const { thing, timer, token } of this.pending.values()) {
      clearTimeout(timer);
      const headers: HeadersInit = token === null ? {} : { Authorization: `Bearer ${token}` };
      this.sending.sendAtLast(thing.url, { method: "DELETE", headers, keepalive: true });
    }
    this.pending.clear();
  }

  private async carryOut(id: string): Promise<void> {
    const pending = this.pending.get(id);
    if (!pending) return;
    this.pending.delete(id);
    try {
      const response = await this.sending.send(pending.thing.url, { method: "DELETE", keepalive: true });
      // 404: somebody was faster, which is what was wanted.
      if (!response.ok && response.status !== 404) throw await problemOf(response, words.failed);
      pending.thing.done?.();
    } catch (error) {
      this.hide(id, false);
      pending.failed(sentenceOf(error, words.failed));
    }
  }

  private hide(id: string, hidden: boolean): void {
    const next = new Set(this.hidden);
    if (hidden) next.add(id);
    else next.delete(id);
    this.hidden = next;
    for (const told of this.listeners) told();
  }
}

const deletions = new Deletions({
  send: (url, init) => authorisedFetch(url, init),
  sendAtLast: (url, init) => void fetch(url, init).catch(() => undefined),
  token: accessToken,
});
window.addEventListener("pagehide", () => deletions.flush());

export interface Deleting {
  /** Ids that lists leave out: deleted, or about to be. */
  gone: ReadonlySet<string>;
  /** Hides it, offers to undo, and deletes it {@link UNDO_MS} later (or when the page is left). */
  remove: (thing: Deletable) => void;
}

export function useDeleting(): Deleting {
  const tell = useTell();
  const gone = useSyncExternalStore(deletions.subscribe, deletions.gone);
  const remove = (thing: Deletable) => {
    deletions.delete(thing, (sentence) => tell(sentence));
    const undo = () => {
      if (!deletions.undo(thing.id)) tell(words.tooLate);
    };
    tell({ text: thing.said, action: { label: words.undo, run: undo }, lastsMs: UNDO_MS });
  };
  return { gone, remove };
}
