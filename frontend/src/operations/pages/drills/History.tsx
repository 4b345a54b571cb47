import { ArrowDown, ArrowUp, CircleCheck, CircleX } from "lucide-react";
import { useState } from "react";
import { Button, SelectField } from "@/shared/controls";
import { Badge, Empty, Spoken, Table } from "@/shared/layout";
import { Time } from "@/shared/time";
import { useUrlState } from "@/shared/urlState";
import { drills as strings } from "@/strings/drills";
import styles from "./drills.module.css";
import { Report } from "./Report";
import {
  COLUMNS,
  type Column,
  type Drill,
  inOrder,
  orderFrom,
  orderText,
  pressed,
  recordOf,
  reportName,
  TIMES,
} from "./results";

interface Props {
  history: readonly Drill[];
  titleOf: (scenario: string) => string;
}

/** Every run, sortable by each of its times; what was best and worst of its scenario is marked. */
export function History({ history, titleOf }: Props) {
  const [sort, setSort] = useUrlState("sort", "at.down");
  const [scenario, setScenario] = useUrlState("scenario");
  const [report, setReport] = useState<string | null>(null);
  const order = orderFrom(sort);
  if (history.length === 0) return <Empty title={strings.empty}>{strings.emptyHelp}</Empty>;
  const names = [...new Set(history.map((row) => row.scenario))].sort();
  const rows = inOrder(
    history.filter((row) => scenario === "" || row.scenario === scenario),
    order,
  );
  return (
    <section className={styles.section}>
      <div className={styles.historyHead}>
        <div>
          <h2>{strings.history}</h2>
          <p className={styles.soft}>{strings.historyAbout}</p>
        </div>
        <SelectField
          label={strings.filter}
          value={scenario}
          onChange={(event) => setScenario(event.target.value)}
        >
          <option value="">{strings.all}</option>
          {names.map((name) => (
            <option key={name} value={name}>
              {titleOf(name)}
            </option>
          ))}
        </SelectField>
      </div>
      <Table label={strings.history}>
        <thead>
          <tr>
            {COLUMNS.map((column) => (
              <Head
                key={column}
                column={column}
                sorted={order.column === column ? order.descending : null}
                onPress={() => setSort(orderText(pressed(order, column)))}
              />
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <Row
              key={`${row.at} ${row.scenario}`}
              row={row}
              history={history}
              title={titleOf(row.scenario)}
              onReport={setReport}
            />
          ))}
        </tbody>
      </Table>
      <Report name={report} onClose={() => setReport(null)} />
    </section>
  );
}

interface HeadProps {
  column: Column;
  /** Whether it goes down; null where the rows are not sorted by it. */
  sorted: boolean | null;
  onPress: () => void;
}

function Head({ column, sorted, onPress }: HeadProps) {
  const name = strings.columns[column];
  const Icon = sorted ? ArrowDown : ArrowUp;
  return (
    <th scope="col" aria-sort={sorted === null ? undefined : sorted ? "descending" : "ascending"}>
      <button type="button" className={styles.sort} title={strings.sortBy(name)} onClick={onPress}>
        {name}
        <Icon size={14} aria-hidden="true" className={sorted === null ? styles.unsorted : undefined} />
      </button>
    </th>
  );
}

interface RowProps {
  row: Drill;
  history: readonly Drill[];
  title: string;
  onReport: (name: string) => void;
}

function Row({ row, history, title, onReport }: RowProps) {
  const report = reportName(row);
  const { best, worst } = recordOf(history, row.scenario);
  const mark =
    best === worst ? null : row.mitigate_s === best ? "best" : row.mitigate_s === worst ? "worst" : null;
  const Icon = row.passed ? CircleCheck : CircleX;
  return (
    <tr>
      <td className={styles.nowrap}>
        <Time at={row.at} />
      </td>
      <td className={styles.wide}>
        {title}
        {row.cure && <span className={styles.line}>{strings.cure(row.cure)}</span>}
      </td>
      {TIMES.map((name) => (
        <td key={name} className={styles.nowrap}>
          <Seconds value={row[name]} />
          {name === "mitigate_s" && mark && row.passed && (
            <span className={styles.line}>{strings[mark]}</span>
          )}
        </td>
      ))}
      <td className={styles.wide}>
        <Badge tone={row.passed ? "pass" : "fail"}>
          <Icon size={14} aria-hidden="true" />
          {row.passed ? strings.passed : strings.failed}
        </Badge>
        {!row.passed && <span className={styles.line}>{problemOf(row)}</span>}
        {report && (
          <Button small aria-label={strings.reportOf(title)} onClick={() => onReport(report)}>
            {strings.report}
          </Button>
        )}
      </td>
    </tr>
  );
}

function Seconds({ value }: { value: number | null }) {
  if (value !== null) return strings.seconds(value);
  return (
    <>
      <span aria-hidden="true">–</span>
      <Spoken>{strings.notReached}</Spoken>
    </>
  );
}

function problemOf(row: Drill): string {
  const counts = [
    row.wrong_actions > 0 && strings.wrong(row.wrong_actions),
    row.repeated_side_effects > 0 && strings.repeated(row.repeated_side_effects),
  ].filter((one) => one !== false);
  return [row.problem ?? strings.noProblem, ...counts].join(" ");
}
