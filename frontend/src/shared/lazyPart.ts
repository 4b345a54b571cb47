import { type ComponentType, type LazyExoticComponent, lazy } from "react";

// biome-ignore lint/suspicious/noExplicitAny: as React's own `lazy` has it; the props are the part's.
type Part = ComponentType<any>;
type Load<T extends Part> = () => Promise<{ default: T }>;

const RELOADED = "understudy.reloaded";
/** Loaded anew for the same reason so soon again, it would be a loop. */
const LOOP_MS = 30_000;
const ASK_AGAIN_MS = 3000;

const parts: Load<Part>[] = [];
/** Of these, something is missing that would not be asked for again. */
const spoilt = new Set<Load<Part>>();
let ahead = false;

/**
 * A part of the app in a file of its own: loaded when it is first shown, or before that by {@link loadAhead}.
 *
 * One that cannot be loaded is waited for as long as the service is away; what is missing when it answers belongs
 * to a newer build, and the page is loaded anew.
 */
export function lazyPart<T extends Part>(load: Load<T>): LazyExoticComponent<T> {
  parts.push(load);
  return lazy(async () => {
    try {
      if (!spoilt.has(load)) return await load();
    } catch (error) {
      if (!mayReload()) throw error;
    }
    await answering();
    noteReload();
    window.location.reload();
    return new Promise<never>(() => undefined);
  });
}

/** Loads every part while there is nothing else to do: without a connection, the pages are there. */
export function loadAhead(): void {
  if (ahead) return;
  ahead = true;
  const whenIdle = window.requestIdleCallback ?? ((run: () => void) => setTimeout(run, 500));
  whenIdle(async () => {
    // Parts of parts are appended meanwhile, and come last.
    for (const load of parts) {
      try {
        await load();
      } catch {
        spoilt.add(load);
        return;
      }
    }
  });
}

/** Comes back when the service has answered for this page. */
async function answering(): Promise<void> {
  for (;;) {
    try {
      const answer = await fetch(window.location.href, { cache: "no-store" });
      if (answer.ok) return;
    } catch {
      // It is away, or this device is.
    }
    await new Promise<void>((resolve) => {
      setTimeout(resolve, ASK_AGAIN_MS);
      window.addEventListener("online", () => resolve(), { once: true });
    });
  }
}

function mayReload(): boolean {
  try {
    return Date.now() - Number(sessionStorage.getItem(RELOADED) ?? 0) > LOOP_MS;
  } catch {
    return false; // Nothing can be remembered: rather an error than a loop.
  }
}

function noteReload(): void {
  try {
    sessionStorage.setItem(RELOADED, String(Date.now()));
  } catch {
    // What was spoilt ahead is not in a fresh page.
  }
}
