import { keepPreviousData, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { Link, useSearchParams } from "react-router";
import { Button, buttonClass, FilterField, SearchField } from "@/shared/controls";
import { count } from "@/shared/format";
import { Empty, Failure, Loading, PageHeader, Pages, Stack } from "@/shared/layout";
import { history as words } from "@/strings/history";
import { answered, api } from "../../api/client";
import { keys } from "../../api/queries";
import { useDeleting } from "../../deleting";
import { paths } from "../../paths";
import { isOver } from "../../speaking/speech";
import { addressOf, STATUSES, type Status, type View, viewOf } from "./address";
import styles from "./History.module.css";
import { Row } from "./Row";

const PER_PAGE = 20;
const TYPING_MS = 300;
/** While something on the page is not over. */
const SOON_MS = 1500;
const SELDOM_MS = 15_000;

function useGenerations({ search, status, page }: View) {
  return useQuery({
    queryKey: [...keys.generations, "history", search, status, page],
    queryFn: () =>
      answered(
        api.GET("/api/generations", {
          params: {
            query: {
              page,
              per_page: PER_PAGE,
              ...(search ? { search } : {}),
              ...(status ? { status } : {}),
            },
          },
        }),
      ),
    placeholderData: keepPreviousData,
    refetchInterval: ({ state }) =>
      state.data?.generations.some((one) => !isOver(one.status)) ? SOON_MS : SELDOM_MS,
  });
}

export default function History() {
  const [given, setGiven] = useSearchParams();
  const view = viewOf(given);
  const go = (change: Partial<View>, replace = false) => setGiven(addressOf(view, change), { replace });
  return (
    <>
      <PageHeader title={words.title} about={words.about} />
      <Stack>
        <div className={styles.filters}>
          <Search value={view.search} onChange={(search) => go({ search }, true)} />
          <FilterField
            label={words.status}
            value={view.status ?? ""}
            onChange={(event) => go({ status: (event.target.value || null) as Status | null })}
          >
            <option value="">{words.all}</option>
            {STATUSES.map((status) => (
              <option key={status} value={status}>
                {words.statuses[status]}
              </option>
            ))}
          </FilterField>
        </div>
        <List view={view} go={go} />
      </Stack>
    </>
  );
}

/** Hands a search on when the typing rests; follows the address when somebody goes back. */
function Search({ value, onChange }: { value: string; onChange: (value: string) => void }) {
  const [typed, setTyped] = useState(value);
  const sent = useRef(value);
  const latest = useRef(onChange);
  latest.current = onChange;
  useEffect(() => {
    if (value !== sent.current) {
      sent.current = value;
      setTyped(value);
    }
  }, [value]);
  useEffect(() => {
    const search = typed.trim();
    if (search === sent.current) return;
    const timer = setTimeout(() => {
      sent.current = search;
      latest.current(search);
    }, TYPING_MS);
    return () => clearTimeout(timer);
  }, [typed]);
  return <SearchField label={words.search} value={typed} onChange={setTyped} />;
}

function List({ view, go }: { view: View; go: (change: Partial<View>, replace?: boolean) => void }) {
  const found = useGenerations(view);
  const queries = useQueryClient();
  const { gone, remove } = useDeleting();
  const { data } = found;
  const pages = data?.pagination.pages ?? 1;
  const { page } = view;
  const latest = useRef(go);
  latest.current = go;
  // The last row of the last page was deleted: there is no such page any more.
  useEffect(() => {
    if (page > 1 && page > pages) latest.current({ page: Math.max(1, pages) }, true);
  }, [page, pages]);

  if (!data) {
    return found.isError ? (
      <Failure error={found.error} onRetry={() => void found.refetch()} />
    ) : (
      <Loading rows={5} height="5.2rem" />
    );
  }
  const rows = data.generations.filter(({ id }) => !gone.has(id));
  if (rows.length === 0 && pages <= 1) {
    const narrowed = view.search !== "" || view.status !== null;
    return narrowed ? (
      <Empty
        title={words.nothingFound}
        action={<Button onClick={() => go({ search: "", status: null })}>{words.showAll}</Button>}
      >
        {words.nothingFoundHelp}
      </Empty>
    ) : (
      <Empty
        title={words.empty}
        action={
          <Link className={buttonClass("primary")} to={paths.generate}>
            {words.speak}
          </Link>
        }
      >
        {words.emptyHelp}
      </Empty>
    );
  }
  return (
    <section aria-label={words.list}>
      {found.isError && <Failure error={found.error} onRetry={() => void found.refetch()} />}
      <p className={styles.total} role="status">
        {words.total(count(data.pagination.total - data.generations.length + rows.length))}
      </p>
      <ul className={styles.list}>
        {rows.map((row) => (
          <Row
            key={row.id}
            row={row}
            onDelete={(said) =>
              remove({
                id: row.id,
                url: `/api/generations/${row.id}`,
                said,
                done: () => {
                  void queries.invalidateQueries({ queryKey: keys.generations });
                  void queries.invalidateQueries({ queryKey: keys.tasks });
                },
              })
            }
          />
        ))}
      </ul>
      <Pages page={page} pages={pages} onPage={(next) => go({ page: next })} />
    </section>
  );
}
