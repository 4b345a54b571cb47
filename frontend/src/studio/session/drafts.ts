import { useCallback, useEffect, useRef, useState } from "react";
import { useUserId } from "./session";

const PREFIX = "understudy.draft.";
const AFTER_MS = 300;

function read<T>(key: string, initial: T): T {
  try {
    const kept = localStorage.getItem(key);
    return kept === null ? initial : { ...initial, ...(JSON.parse(kept) as Partial<T>) };
  } catch {
    return initial;
  }
}

/**
 * A form's fields, kept on this device for this person: a reload, a lost session or a closed tab loses no text.
 *
 * Returns the fields, what changes some of them, and what forgets them.
 */
export function useDraft<T extends object>(
  name: string,
  initial: T,
): [fields: T, change: (some: Partial<T>) => void, forget: () => void] {
  const key = `${PREFIX}${useUserId() ?? "nobody"}.${name}`;
  const start = useRef(initial);
  const [fields, setFields] = useState(() => read(key, initial));
  const latest = useRef(fields);
  latest.current = fields;
  /** Not written yet; what nobody changed here is not written over what another tab has. */
  const unwritten = useRef(false);

  const write = useCallback(() => {
    if (!unwritten.current) return;
    unwritten.current = false;
    try {
      localStorage.setItem(key, JSON.stringify(latest.current));
    } catch {
      // Full or closed: it lives as long as the page.
    }
  }, [key]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: each change of the fields waits anew.
  useEffect(() => {
    const timer = setTimeout(write, AFTER_MS);
    return () => clearTimeout(timer);
  }, [write, fields]);
  useEffect(() => {
    // A tab that is closed, or a page that is left, within those milliseconds.
    window.addEventListener("pagehide", write);
    return () => {
      window.removeEventListener("pagehide", write);
      write();
    };
  }, [write]);

  const change = useCallback((some: Partial<T>) => {
    unwritten.current = true;
    setFields((before) => ({ ...before, ...some }));
  }, []);
  const forget = useCallback(() => {
    unwritten.current = false;
    localStorage.removeItem(key);
    setFields(start.current);
  }, [key]);
  return [fields, change, forget];
}

/** Forgets every draft of a person on this device: their account is gone. */
export function forgetDrafts(userId: string): void {
  try {
    for (const key of Object.keys(localStorage)) {
      if (key.startsWith(`${PREFIX}${userId}.`)) localStorage.removeItem(key);
    }
  } catch {
    // Storage is closed to this page: nothing was kept.
  }
}
