import { useEffect, useMemo, useRef, useState } from "react";
import { useSearchParams } from "react-router";
import { Button } from "@/shared/controls";
import { Card, Failure, Loading, Spoken } from "@/shared/layout";
import { incidents as strings } from "@/strings/incidents";
import type { IncidentDetail } from "./permitted";
import { useTimeline } from "./queries";
import { Line } from "./StoryLine";
import { FILTERS, isShown, news, type StoryLine, storyOf, wordOf } from "./story";
import styles from "./story.module.css";

/** The journal as it is written: what happened, what runs, and what is still to come. */
export function Story({ incident }: { incident: IncidentDetail }) {
  const query = useTimeline(incident.id);
  const [search, setSearch] = useSearchParams();
  const filter = FILTERS.find((one) => one === search.get("show")) ?? "all";
  const lines = useMemo(() => storyOf(query.data?.lines ?? []), [query.data]);
  const spoken = useNews(lines);
  const shown = lines.filter((line) => isShown(line, filter));
  return (
    <Card className={styles.card}>
      <div className={styles.top}>
        <h2>{strings.story.title}</h2>
        <fieldset className={styles.filter}>
          <legend>
            <Spoken>{strings.story.filter}</Spoken>
          </legend>
          {FILTERS.map((one) => (
            <Button
              key={one}
              small
              kind="quiet"
              aria-pressed={filter === one}
              onClick={() =>
                setSearch(
                  (before) => {
                    if (one === "all") before.delete("show");
                    else before.set("show", one);
                    return before;
                  },
                  { replace: true },
                )
              }
            >
              {strings.story.filters[one]}
            </Button>
          ))}
        </fieldset>
      </div>
      <div aria-live="polite">
        <Spoken>{spoken}</Spoken>
      </div>
      {query.isPending && <Loading rows={6} height="3rem" />}
      {query.isError && <Failure error={query.error} onRetry={() => void query.refetch()} />}
      {query.data && shown.length === 0 && <p className={styles.soft}>{strings.story.none[filter]}</p>}
      <ol className={styles.lines}>
        {shown.map((line) => (
          <Line key={line.id} line={line} onset={query.data?.onset ?? null} journal={incident.journal} />
        ))}
      </ol>
    </Card>
  );
}

/** What is new, as a sentence; empty until something is. */
function useNews(lines: readonly StoryLine[]): string {
  const before = useRef<readonly StoryLine[] | null>(null);
  const [spoken, setSpoken] = useState("");
  useEffect(() => {
    if (lines.length === 0) return;
    const fresh = before.current === null ? [] : news(before.current, lines);
    before.current = lines;
    const last = fresh.at(-1);
    if (!last) return;
    const said = strings.story.heard(wordOf(last), last.text);
    setSpoken(fresh.length === 1 ? said : strings.story.heardMany(fresh.length, said));
  }, [lines]);
  return spoken;
}
