import { createContext, type ReactNode, useContext, useState, useSyncExternalStore } from "react";

/** The moment that all charts point at, in Unix seconds; null while nobody points. */
export class Cursor {
  #at: number | null = null;
  readonly #listeners = new Set<() => void>();

  readonly get = () => this.#at;

  readonly subscribe = (listener: () => void) => {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  };

  set(at: number | null): void {
    if (at === this.#at) return;
    this.#at = at;
    for (const listener of this.#listeners) listener();
  }
}

const Context = createContext(new Cursor());

export function CursorProvider({ children }: { children: ReactNode }) {
  const [cursor] = useState(() => new Cursor());
  return <Context value={cursor}>{children}</Context>;
}

export function useCursor(): Cursor {
  return useContext(Context);
}

export function useCursorAt(): number | null {
  const cursor = useCursor();
  return useSyncExternalStore(cursor.subscribe, cursor.get);
}
