import type { Session } from "@supabase/auth-js";

/** Where auth-js keeps the session; every tab of this browser reads the same. */
export const SESSION_KEY = "understudy.session";
/** Who signed out on purpose, for the other tabs. */
const LEFT_KEY = "understudy.left";

/** Stands in where the browser keeps nothing for this page: the session then lasts as long as the tab. */
const memory = new Map<string, string>();

/** Storage as auth-js wants it; never throws. */
export const keeper = {
  getItem(key: string): string | null {
    try {
      return localStorage.getItem(key) ?? memory.get(key) ?? null;
    } catch {
      return memory.get(key) ?? null;
    }
  },
  setItem(key: string, value: string): void {
    try {
      localStorage.setItem(key, value);
    } catch {
      memory.set(key, value);
    }
  },
  removeItem(key: string): void {
    memory.delete(key);
    try {
      localStorage.removeItem(key);
    } catch {
      // It was in memory.
    }
  },
};

/** The session as it is kept now, whichever tab put it there; nothing is asked of the network. */
export function storedSession(): Session | null {
  try {
    const kept = JSON.parse(keeper.getItem(SESSION_KEY) ?? "null") as Partial<Session> | null;
    const whole = kept?.access_token && kept.refresh_token && kept.expires_at && kept.user?.id;
    return whole ? (kept as Session) : null;
  } catch {
    return null;
  }
}

/** Seconds for which the token is good, by this device's clock. */
export function secondsLeft(session: Session): number {
  return (session.expires_at ?? 0) - Date.now() / 1000;
}

/** Whether this person signed out on purpose, here or in another tab, rather than lost their session. */
export function leftOnPurpose(userId: string): boolean {
  return keeper.getItem(LEFT_KEY) === userId;
}

export function noteLeaving(userId: string | null): void {
  if (userId === null) keeper.removeItem(LEFT_KEY);
  else keeper.setItem(LEFT_KEY, userId);
}

/** Calls `told` when another tab changed the session. */
export function onOtherTab(told: () => void): () => void {
  const hear = (event: StorageEvent) => {
    if (event.key === SESSION_KEY || event.key === null) told();
  };
  window.addEventListener("storage", hear);
  return () => window.removeEventListener("storage", hear);
}
