import { useEffect, useRef } from "react";
import { Link, useSearchParams } from "react-router";
import { Button, buttonClass, SelectField } from "@/shared/controls";
import { duration } from "@/shared/format";
import { Empty, Failure, Loading, PageHeader, Spoken, Stack } from "@/shared/layout";
import { Ago, Time } from "@/shared/time";
import { incidents as strings } from "@/strings/incidents";
import { operations } from "@/strings/operations";
import { Live } from "../../live/AsOf";
import { StateBadge } from "../../parts/badges";
import { paths } from "../../paths";
import styles from "./list.module.css";
import { curesOf, joinPages, STATES, stateNamed } from "./listing";
import type { Incident } from "./permitted";
import { needOf } from "./permitted";
import { between, sinceBegin } from "./points";
import { type State, useGuardNow, useIncidents } from "./queries";
import { personOf } from "./story";

export default function Incidents() {
  const [search, setSearch] = useSearchParams();
  const state = stateNamed(search.get("state"));
  const query = useIncidents(state);
  const choose = (next: State | null) => setSearch(next ? { state: next } : {}, { replace: true });
  return (
    <>
      <PageHeader title={strings.title} about={strings.about}>
        <SelectField
          label={strings.filterState}
          value={state ?? ""}
          onChange={(event) => choose(stateNamed(event.target.value))}
        >
          <option value="">{strings.allStates}</option>
          {STATES.map((one) => (
            <option key={one} value={one}>
              {operations.states[one]}
            </option>
          ))}
        </SelectField>
      </PageHeader>
      <Listed query={query} state={state} onShowAll={() => choose(null)} />
    </>
  );
}

interface ListedProps {
  query: ReturnType<typeof useIncidents>;
  state: State | null;
  onShowAll: () => void;
}

function Listed({ query, state, onShowAll }: ListedProps) {
  const now = useGuardNow();
  const rows = joinPages(query.data?.pages ?? []);
  const list = useFocusOnNew(rows.length);
  if (query.isPending) return <Loading rows={5} height="5.5rem" />;
  if (!query.data) return <Failure error={query.error} onRetry={() => void query.refetch()} />;
  if (rows.length === 0 && state !== null) {
    return (
      <Empty
        title={strings.emptyState(operations.states[state])}
        action={<Button onClick={onShowAll}>{strings.showAll}</Button>}
      >
        {strings.emptyStateHelp}
      </Empty>
    );
  }
  if (rows.length === 0) {
    return (
      <Empty
        title={strings.empty}
        action={
          <Link className={buttonClass("plain")} to={paths.drills}>
            {strings.emptyAction}
          </Link>
        }
      >
        {strings.emptyHelp}
      </Empty>
    );
  }
  return (
    <Stack>
      {query.isError && <Failure error={query.error} onRetry={() => void query.refetch()} />}
      <Live>
        <ul ref={list.element} className={styles.list} aria-busy={query.isPlaceholderData}>
          {rows.map((incident) => (
            <Row key={incident.id} incident={incident} now={now} />
          ))}
        </ul>
      </Live>
      <div className={styles.foot}>
        <span role="status">{strings.shown(rows.length)}</span>
        {query.hasNextPage && (
          <Button
            busy={query.isFetchingNextPage}
            onClick={() => {
              list.remember();
              void query.fetchNextPage();
            }}
          >
            {strings.more}
          </Button>
        )}
      </div>
    </Stack>
  );
}

/** After "load more" the first new row has the focus. */
function useFocusOnNew(count: number) {
  const element = useRef<HTMLUListElement>(null);
  const before = useRef<number | null>(null);
  useEffect(() => {
    if (before.current === null || count <= before.current) return;
    element.current?.children[before.current]?.querySelector("a")?.focus();
    before.current = null;
  }, [count]);
  return {
    element,
    remember: () => {
      before.current = count;
    },
  };
}

function Row({ incident, now }: { incident: Incident; now: Date }) {
  const { times } = incident;
  const needed = !["none", "begins", "aborting"].includes(needOf(incident, now).kind);
  return (
    <li className={styles.row}>
      <div className={styles.head}>
        <div className={styles.badges}>
          <StateBadge state={incident.state} />
          {needed && <strong className={styles.needed}>{strings.needsPerson}</strong>}
        </div>
        <h2 className={styles.title}>
          <Link to={paths.incident(incident.id)}>{incident.title}</Link>
        </h2>
        <p className={styles.about}>
          <Time at={incident.opened_at} /> (<Ago at={incident.opened_at} />)
        </p>
      </div>
      <dl className={styles.facts}>
        <Took label={strings.columns.detected} ms={between(times.onset, times.detected)} plus={false} />
        <Took label={strings.columns.mitigated} ms={sinceBegin(times, "mitigated")} />
        <Took label={strings.columns.verified} ms={sinceBegin(times, "verified")} />
        <Took label={strings.columns.closed} ms={sinceBegin(times, "closed")} />
        <div>
          <dt>{strings.columns.cure}</dt>
          <dd>
            <OrNone text={curesOf(incident).join(", ")} />
          </dd>
        </div>
        <div>
          <dt>{strings.columns.acknowledged}</dt>
          <dd>
            <OrNone text={incident.acknowledged_by.map(personOf).join(", ")} />
          </dd>
        </div>
      </dl>
    </li>
  );
}

function Took({ label, ms, plus = true }: { label: string; ms: number | null; plus?: boolean }) {
  const text = ms === null ? "" : duration(ms);
  return (
    <div>
      <dt>{label}</dt>
      <dd>
        <OrNone text={text && plus ? strings.after(text) : text} />
      </dd>
    </div>
  );
}

function OrNone({ text }: { text: string }) {
  if (text) return text;
  return (
    <>
      <span aria-hidden="true">{strings.notYet}</span>
      <Spoken>{strings.notYetSpoken}</Spoken>
    </>
  );
}
