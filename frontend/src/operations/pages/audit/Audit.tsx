import { useEffect, useId, useState } from "react";
import { Button, TextField } from "@/shared/controls";
import { Banner, Empty, Failure, Loading, PageHeader, Stack } from "@/shared/layout";
import { usePageNumber, useSettled, useUrlState } from "@/shared/urlState";
import { audit as strings } from "@/strings/audit";
import { useMe } from "../../api/queries";
import { Live } from "../../live/AsOf";
import { whoOf } from "../../parts/who";
import styles from "./audit.module.css";
import { actorsIn } from "./days";
import { Entries } from "./Entries";
import { PAGE, useAudit } from "./queries";

export default function Audit() {
  const [person, setPerson] = useUrlState("person");
  const [page, setPage] = usePageNumber();
  const query = useAudit(person, page);
  const { data } = query;
  const entries = data?.entries ?? [];
  return (
    <>
      <PageHeader title={strings.title} about={strings.about} />
      <Stack>
        <Filter person={person} onPerson={setPerson} known={actorsIn(entries).map(whoOf)} />
        {data?.partial && <Banner tone="warn">{strings.partial}</Banner>}
        {query.isError && <Failure error={query.error} onRetry={() => void query.refetch()} />}
        {query.isPending && <Loading rows={8} height="3.5rem" />}
        {data && entries.length === 0 && (
          <Nothing person={person} page={page} onPerson={setPerson} onPage={setPage} />
        )}
        {entries.length > 0 && (
          <Live stale={query.isError}>
            <div aria-busy={query.isPlaceholderData}>
              <Entries entries={entries} onPerson={setPerson} person={person} />
            </div>
          </Live>
        )}
        {data && (page > 1 || data.next_offset !== null) && entries.length > 0 && (
          <nav className={styles.pages} aria-label={strings.pages}>
            <Button small disabled={page <= 1} onClick={() => setPage(page - 1)}>
              {strings.newer}
            </Button>
            <span role="status">
              {strings.range((page - 1) * PAGE + 1, (page - 1) * PAGE + entries.length)}
            </span>
            <Button small disabled={data.next_offset === null} onClick={() => setPage(page + 1)}>
              {strings.older}
            </Button>
          </nav>
        )}
      </Stack>
    </>
  );
}

interface FilterProps {
  person: string;
  onPerson: (person: string) => void;
  known: readonly string[];
}

function Filter({ person, onPerson, known }: FilterProps) {
  const me = useMe().data?.label;
  const [typed, setTyped] = useState(person);
  const settled = useSettled(typed);
  const names = useId();
  // A name that was pressed in the list stands in the field, too.
  useEffect(() => setTyped(person), [person]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: only what was typed asks anew.
  useEffect(() => {
    if (settled.trim() !== person && settled === typed) onPerson(settled.trim());
  }, [settled]);
  return (
    <div className={styles.filter}>
      <TextField
        label={strings.person}
        hint={strings.personHint}
        type="search"
        value={typed}
        list={names}
        autoComplete="off"
        autoCapitalize="off"
        spellCheck={false}
        onChange={(event) => setTyped(event.target.value)}
      />
      <datalist id={names}>
        {known.map((name) => (
          <option key={name} value={name} />
        ))}
      </datalist>
      {person !== me && (
        <Button disabled={!me} onClick={() => me && onPerson(me)}>
          {strings.mine}
        </Button>
      )}
      {person !== "" && <Button onClick={() => onPerson("")}>{strings.everybody}</Button>}
    </div>
  );
}

interface NothingProps {
  person: string;
  page: number;
  onPerson: (person: string) => void;
  onPage: (page: number) => void;
}

function Nothing({ person, page, onPerson, onPage }: NothingProps) {
  if (page > 1) {
    return (
      <Empty title={strings.emptyPage} action={<Button onClick={() => onPage(1)}>{strings.newest}</Button>} />
    );
  }
  if (person !== "") {
    return (
      <Empty
        title={strings.emptyPerson(person)}
        action={<Button onClick={() => onPerson("")}>{strings.everybody}</Button>}
      >
        {strings.emptyPersonHelp}
      </Empty>
    );
  }
  return <Empty title={strings.empty}>{strings.emptyHelp}</Empty>;
}
