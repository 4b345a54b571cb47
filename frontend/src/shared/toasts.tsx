import { X } from "lucide-react";
import { Toast } from "radix-ui";
import { createContext, type ReactNode, useCallback, useContext, useMemo, useState } from "react";
import { common } from "@/strings/common";
import { Button, IconButton } from "./controls";
import styles from "./layout.module.css";

export interface Notice {
  text: string;
  /** A way to take it back, or to go on. */
  action?: { label: string; run: () => void };
  /** Milliseconds that it stays; 5000 when left out. */
  lastsMs?: number;
}

type Tell = (notice: Notice | string) => void;

const Context = createContext<Tell>(() => undefined);

/** Returns what shows a short notice at the edge of the page. */
export function useTell(): Tell {
  return useContext(Context);
}

export function Toasts({ children }: { children: ReactNode }) {
  const [shown, setShown] = useState<(Notice & { id: number })[]>([]);
  const tell = useCallback<Tell>((notice) => {
    const full = typeof notice === "string" ? { text: notice } : notice;
    setShown((before) => [...before.slice(-3), { ...full, id: (before.at(-1)?.id ?? 0) + 1 }]);
  }, []);
  const remove = useCallback((id: number) => setShown((before) => before.filter((one) => one.id !== id)), []);
  const value = useMemo(() => tell, [tell]);
  return (
    <Context value={value}>
      <Toast.Provider label={common.notices} swipeDirection="right">
        {children}
        {shown.map((notice) => (
          <Toast.Root
            key={notice.id}
            className={styles.toast}
            duration={notice.lastsMs ?? 5000}
            onOpenChange={(open) => !open && remove(notice.id)}
          >
            <Toast.Description>{notice.text}</Toast.Description>
            <span className={styles.row}>
              {notice.action && (
                <Toast.Action altText={notice.action.label} asChild>
                  <Button small onClick={notice.action.run}>
                    {notice.action.label}
                  </Button>
                </Toast.Action>
              )}
              <Toast.Close asChild>
                <IconButton small label={common.dismiss}>
                  <X size={16} aria-hidden="true" />
                </IconButton>
              </Toast.Close>
            </span>
          </Toast.Root>
        ))}
        <Toast.Viewport className={styles.toasts} />
      </Toast.Provider>
    </Context>
  );
}
