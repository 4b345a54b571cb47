import { useCallback, useEffect, useState } from "react";
import { useSearchParams } from "react-router";

/** What the address of the page says, and what changes it: a search can be shared, and Back works. */
export function useUrlState(name: string, initial = ""): [value: string, set: (value: string) => void] {
  const [query, setQuery] = useSearchParams();
  const value = query.get(name) ?? initial;
  const set = useCallback(
    (next: string) =>
      setQuery(
        (before) => {
          const after = new URLSearchParams(before);
          if (next === initial) after.delete(name);
          else after.set(name, next);
          // Another choice begins at the first page.
          if (name !== "page") after.delete("page");
          return after;
        },
        { replace: true },
      ),
    [name, initial, setQuery],
  );
  return [value, set];
}

/** Forgets everything the address says beyond the page itself. */
export function useClearUrl(): () => void {
  const [, setQuery] = useSearchParams();
  return useCallback(() => setQuery({}, { replace: true }), [setQuery]);
}

/** The number of the page, from the address. */
export function usePageNumber(): [page: number, set: (page: number) => void] {
  const [text, set] = useUrlState("page", "1");
  const page = Math.max(1, Number.parseInt(text, 10) || 1);
  return [page, useCallback((next: number) => set(String(next)), [set])];
}

const TYPED_MS = 250;

/** The value once nobody has typed for a moment. */
export function useSettled<T>(value: T, afterMs = TYPED_MS): T {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), afterMs);
    return () => clearTimeout(timer);
  }, [value, afterMs]);
  return settled;
}
