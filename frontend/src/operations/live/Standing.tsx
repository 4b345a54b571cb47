import { CircleDot, CircleDotDashed, Unplug } from "lucide-react";
import { useEffect } from "react";
import { Badge } from "@/shared/layout";
import { live } from "@/strings/live";
import { operations } from "@/strings/operations";
import { useMe, useStatus } from "../api/queries";
import { useFreshness } from "./live";
import styles from "./live.module.css";
import { tabTitle } from "./tab_title";

/** Keeps the tab's title saying how it stands. */
export function TabTitle() {
  const { data } = useStatus();
  const freshness = useFreshness();
  const title = tabTitle(data, freshness);
  useEffect(() => {
    document.title = title;
    return () => {
      document.title = operations.title;
    };
  }, [title]);
  return null;
}

/** Whose key this is, and whether the guard is heard. */
export function Standing() {
  const { data } = useMe();
  const { fresh, reason } = useFreshness();
  const waiting = reason === "waiting";
  const Icon = fresh ? CircleDot : waiting ? CircleDotDashed : Unplug;
  return (
    <div className={styles.standing}>
      <Badge tone={fresh ? "pass" : waiting ? "idle" : "blind"}>
        <Icon size={14} aria-hidden="true" />
        <span>{fresh ? operations.live.live : waiting ? operations.live.connecting : live.old}</span>
      </Badge>
      {data && (
        <p title={data.may_approve ? undefined : live.key.mayNot}>
          {live.key.label(data.label)}
          {!data.may_approve && <span className={styles.mayNot}> ({live.key.mayLook})</span>}
        </p>
      )}
    </div>
  );
}
