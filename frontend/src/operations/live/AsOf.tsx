import { History } from "lucide-react";
import type { ReactNode } from "react";
import { classes } from "@/shared/classes";
import { Ago, Time } from "@/shared/time";
import { live } from "@/strings/live";
import { useFreshness } from "./live";
import styles from "./live.module.css";

interface AsOfProps {
  /** When this was true, where the answer says so; else when the guard last looked. ISO. */
  at?: string | null;
  /** Says so although the guard answers: the answer itself told that it is old. */
  stale?: boolean;
}

/** "as of 02:14:07, 34 s ago": beside everything live while it is not the present; nothing while it is. */
export function AsOf({ at, stale = false }: AsOfProps) {
  const { fresh, asOf } = useFreshness();
  if (fresh && !stale) return null;
  const when = at ?? asOf?.toISOString() ?? null;
  return (
    <span className={styles.asOf}>
      <History size={14} aria-hidden="true" />
      {when === null ? (
        live.neverSeen
      ) : (
        <span>
          {live.asOf} <Time at={when} style="time" /> (<Ago at={when} />)
        </span>
      )}
    </span>
  );
}

/** Draws what is in it struck out and grey, with when it was true, while it is not the present. */
export function Live({
  children,
  at,
  stale = false,
  className,
}: AsOfProps & { children: ReactNode; className?: string | undefined }) {
  const { fresh } = useFreshness();
  const old = stale || !fresh;
  return (
    <div className={classes(styles.live, old && styles.old, className)} data-stale={old || undefined}>
      {old && (
        <p className={styles.label}>
          <AsOf at={at ?? null} stale={stale} />
        </p>
      )}
      {children}
    </div>
  );
}
