import { localTime } from "@/shared/format";
import { Table } from "@/shared/layout";
import { charts as words } from "@/strings/charts";
import styles from "./charts.module.css";
import type { Chart, Grid } from "./series";

/** The values of a chart, newest first; what has no value is left out. */
export function ChartTable({ chart, grid }: { chart: Chart; grid: Grid }) {
  const rows = grid.xs
    .map((x, index) => ({ at: (x - grid.bucketS / 2) * 1000, index }))
    .filter(({ index }) => chart.series.some((one) => one.values[index] !== null))
    .reverse();
  if (rows.length === 0) return <p className={styles.noRows}>{words.none}</p>;
  return (
    <div className={styles.table}>
      <Table label={words.tableOf(chart.title)}>
        <thead>
          <tr>
            <th scope="col">{words.time}</th>
            {chart.series.map((one) => (
              <th scope="col" key={one.label}>
                {one.label}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map(({ at, index }) => (
            <tr key={at}>
              <td>{localTime(new Date(at), "time")}</td>
              {chart.series.map((one) => {
                const value = one.values[index] ?? null;
                return <td key={one.label}>{value === null ? words.nothing : chart.format(value)}</td>;
              })}
            </tr>
          ))}
        </tbody>
      </Table>
    </div>
  );
}
