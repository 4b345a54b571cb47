import { useQueryClient } from "@tanstack/react-query";
import { createContext, type ReactNode, useContext, useMemo, useState, useSyncExternalStore } from "react";

/** The tab's own storage: gone with the tab, and never sent to any address by the browser (decision 0020). */
const KEY = "understudy.operator";
const listeners = new Set<() => void>();

function read(): string | null {
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    return null;
  }
}

let key = read();

/** The operator's key, for whoever sends a request. */
export function operatorKey(): string | null {
  return key;
}

/** Keeps another key; null forgets it. */
export function setOperatorKey(next: string | null): void {
  key = next;
  try {
    if (next === null) sessionStorage.removeItem(KEY);
    else sessionStorage.setItem(KEY, next);
  } catch {
    // It holds until the page is left.
  }
  for (const told of listeners) told();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

interface OperatorValue {
  signedIn: boolean;
  /** The key was there and the guard no longer takes it. */
  refused: boolean;
  signIn: (key: string) => void;
  signOut: () => void;
  refuse: () => void;
}

const Context = createContext<OperatorValue | null>(null);

export function useOperator(): OperatorValue {
  const value = useContext(Context);
  if (value === null) throw new Error("useOperator outside of OperatorProvider");
  return value;
}

export function OperatorProvider({ children }: { children: ReactNode }) {
  const current = useSyncExternalStore(subscribe, operatorKey);
  const [refused, setRefused] = useState(false);
  const queries = useQueryClient();
  const value = useMemo<OperatorValue>(
    () => ({
      signedIn: current !== null,
      refused,
      signIn: (next) => {
        setRefused(false);
        queries.clear();
        setOperatorKey(next);
      },
      signOut: () => {
        setRefused(false);
        queries.clear();
        setOperatorKey(null);
      },
      refuse: () => {
        setRefused(true);
        queries.clear();
        setOperatorKey(null);
      },
    }),
    [current, refused, queries],
  );
  return <Context value={value}>{children}</Context>;
}
