import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { Link } from "react-router";
import { buttonClass, SelectField, TextField } from "@/shared/controls";
import { count, money } from "@/shared/format";
import {
  Card,
  Empty,
  Failure,
  Grid,
  Loading,
  PageHeader,
  Skeleton,
  Stack,
  Stat,
  Table,
} from "@/shared/layout";
import { Meter } from "@/shared/meter";
import { Time, useNow } from "@/shared/time";
import { useUrlState } from "@/shared/urlState";
import { usage as words } from "@/strings/usage";
import { answered, api, type Schemas } from "../../api/client";
import { keys } from "../../api/queries";
import { paths } from "../../paths";
import { type Days, dayOf, dayProblems, isPeriod, PERIODS, spanOf } from "./periods";
import { allowanceOf, type Line, linesOf, operationName, spoken, sumOf } from "./summing";
import styles from "./Usage.module.css";

/** Budgets are told as they stand now. */
const AGAIN_MS = 30_000;

export default function Usage() {
  const [named, setPeriod] = useUrlState("period", "this_month");
  const period = isPeriod(named) ? named : "this_month";
  const today = dayOf(useNow());
  const [from, setFrom] = useUrlState("from", "");
  const [until, setUntil] = useUrlState("until", "");
  const days = { from: from || `${today.slice(0, 8)}01`, until: until || today };
  // Within a day the span is one and the same, or every second would ask anew.
  const span = spanOf(period, days, new Date(`${today}T23:59:59Z`));

  const report = useQuery({
    queryKey: [...keys.usage, span],
    queryFn: ({ signal }) => answered(api.GET("/api/usage", { params: { query: span ?? {} }, signal })),
    enabled: span !== null,
    refetchInterval: AGAIN_MS,
    placeholderData: keepPreviousData,
  });

  return (
    <>
      <PageHeader title={words.title} about={words.about} />
      <div className={styles.period}>
        <SelectField label={words.period} value={period} onChange={(event) => setPeriod(event.target.value)}>
          {PERIODS.map((name) => (
            <option key={name} value={name}>
              {words.periods[name]}
            </option>
          ))}
        </SelectField>
        {period === "custom" && <DayFields days={days} today={today} onFrom={setFrom} onUntil={setUntil} />}
      </div>
      {report.data ? (
        <Report report={report.data} />
      ) : report.isError ? (
        <Failure error={report.error} onRetry={() => void report.refetch()} />
      ) : (
        <Waiting />
      )}
    </>
  );
}

interface DayFieldsProps {
  days: Days;
  today: string;
  onFrom: (day: string) => void;
  onUntil: (day: string) => void;
}

function DayFields({ days, today, onFrom, onUntil }: DayFieldsProps) {
  const problems = dayProblems(days, new Date(`${today}T23:59:59Z`));
  return (
    <>
      <TextField
        label={words.from}
        type="date"
        max={today}
        value={days.from}
        error={problems.from}
        onChange={(event) => onFrom(event.target.value)}
      />
      <TextField
        label={words.until}
        type="date"
        max={today}
        value={days.until}
        error={problems.until}
        onChange={(event) => onUntil(event.target.value)}
      />
    </>
  );
}

function Waiting() {
  return (
    <Stack>
      <Skeleton height="5.5rem" />
      <Loading rows={2} height="8rem" />
    </Stack>
  );
}

function Report({ report }: { report: Schemas["UsageReport"] }) {
  const lines = linesOf(report.usage);
  const sum = sumOf(lines);
  return (
    <>
      {lines.length === 0 ? (
        <Empty
          title={words.emptyTitle}
          action={
            <Link className={buttonClass("primary")} to={paths.generate}>
              {words.speak}
            </Link>
          }
        >
          {words.empty}
        </Empty>
      ) : (
        <Stack>
          <Card className={styles.sums}>
            <Stat label={words.total}>{money(report.cost_microusd)}</Stat>
            <Stat label={words.calls}>{count(sum.calls)}</Stat>
            <Stat label={words.audio}>{spoken(sum.seconds)}</Stat>
          </Card>
          <Lines lines={lines} sum={sum} />
          <p className={styles.note}>{words.charactersNote}</p>
        </Stack>
      )}
      <Budgets budgets={report.budgets} />
    </>
  );
}

function Lines({ lines, sum }: { lines: readonly Line[]; sum: Line }) {
  return (
    <div className={styles.table}>
      <Table label={words.table}>
        <thead>
          <tr>
            <th scope="col">{words.columns.operation}</th>
            <th scope="col" className={styles.number}>
              {words.columns.calls}
            </th>
            <th scope="col" className={styles.number}>
              {words.columns.characters}
            </th>
            <th scope="col" className={styles.number}>
              {words.columns.audio}
            </th>
            <th scope="col" className={styles.number}>
              {words.columns.cost}
            </th>
          </tr>
        </thead>
        <tbody>
          {lines.map((line) => (
            <tr key={line.operation}>
              <th scope="row">{operationName(line.operation)}</th>
              <Numbers line={line} />
            </tr>
          ))}
          {lines.length > 1 && (
            <tr className={styles.sum}>
              <th scope="row">{words.sum}</th>
              <Numbers line={sum} />
            </tr>
          )}
        </tbody>
      </Table>
    </div>
  );
}

function Numbers({ line }: { line: Line }) {
  return (
    <>
      <td className={styles.number}>{count(line.calls)}</td>
      <td className={styles.number}>{line.characters === 0 ? words.none : count(line.characters)}</td>
      <td className={styles.number}>{spoken(line.seconds)}</td>
      <td className={styles.number}>{money(line.microusd)}</td>
    </>
  );
}

function Budgets({ budgets }: { budgets: readonly Schemas["Budget"][] }) {
  return (
    <section className={styles.section}>
      <h2>{words.budgets}</h2>
      {budgets.length === 0 ? (
        <p className={styles.note}>{words.noBudgets}</p>
      ) : (
        <>
          <p className={styles.note}>{words.budgetsAbout}</p>
          <Grid>
            {budgets.map(allowanceOf).map((one) => (
              <Card key={one.key}>
                <div className={styles.budget}>
                  <div className={styles.budgetHead}>
                    <h3>{one.name}</h3>
                    <span>{one.left}</span>
                  </div>
                  <Meter label={one.name} value={one.used} most={one.limit} text={one.text} />
                  <p className={styles.note}>
                    {one.text}. {words.resets} <Time at={one.resetsAt} style="soon" />
                  </p>
                </div>
              </Card>
            ))}
          </Grid>
        </>
      )}
    </section>
  );
}
