import { Link } from "react-router";
import { Evidence } from "@/shared/evidenceView";
import { Card, Stack, Table } from "@/shared/layout";
import { Time } from "@/shared/time";
import { cutover as strings } from "@/strings/cutover";
import { whoOf } from "../../parts/who";
import { paths } from "../../paths";
import styles from "./cutover.module.css";
import type { CutoverStatus } from "./stages";

const { columns } = strings;

/** Every change of every cutover, newest first. */
export function History({ history }: { history: CutoverStatus["history"] }) {
  if (history.length === 0) return null;
  return (
    <Card>
      <Stack>
        <h2>{strings.history}</h2>
        <Table label={strings.history}>
          <thead>
            <tr>
              <th scope="col">{columns.at}</th>
              <th scope="col">{columns.what}</th>
              <th scope="col">{columns.share}</th>
              <th scope="col">{columns.who}</th>
              <th scope="col">{columns.reason}</th>
              <th scope="col">{columns.detail}</th>
            </tr>
          </thead>
          <tbody>
            {history.map((change) => (
              <tr key={change.epoch}>
                <td className={styles.nowrap}>
                  <Time at={change.changed_at} />
                </td>
                <td className={styles.wide}>
                  {strings.changed(change.seq, stateWord(change.state), change.stage + 1)}
                </td>
                <td>{strings.tenants(change.percent)}</td>
                <td className={styles.nowrap}>{whoOf(change.actor)}</td>
                <td className={styles.wide}>
                  {change.reason}
                  {change.incident && (
                    <>
                      {" "}
                      <Link to={paths.incident(change.incident)}>{strings.incidentLink}</Link>
                    </>
                  )}
                </td>
                <td>
                  {Object.keys(change.evidence).length > 0 && (
                    <details className={styles.fold}>
                      <summary>{strings.evidence}</summary>
                      <Evidence document={change.evidence} />
                    </details>
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </Table>
      </Stack>
    </Card>
  );
}

function stateWord(state: string): string {
  const words: Record<string, string> = strings.states;
  return (words[state] ?? state).toLowerCase();
}
