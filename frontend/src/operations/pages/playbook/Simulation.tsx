import { Button, SelectField } from "@/shared/controls";
import { Card, Empty, Failure, Loading, Row, Stack, Table } from "@/shared/layout";
import { Time } from "@/shared/time";
import { useUrlState } from "@/shared/urlState";
import { playbook as strings } from "@/strings/playbook";
import { answered, guard } from "../../api/client";
import { keys, useStatus } from "../../api/queries";
import { JobProgress } from "../../parts/jobs";
import { useOrder } from "../../parts/order";
import styles from "./playbook.module.css";
import { useSimulation } from "./queries";
import { levelsOf, linesOf, readingOf, type Row as SimulationRow } from "./simulated";

/** How often the rules would cry wolf, and how soon they see real trouble. */
export function Simulation() {
  const query = useSimulation();
  const order = useOrder({
    title: strings.simulateTitle,
    action: strings.simulate,
    about: <p>{strings.simulateWhat}</p>,
    reason: "none",
    run: () => answered(guard.POST("/playbook/simulation", { body: { reason: null } })),
    touches: [[...keys.playbook, "simulation"], keys.jobs, keys.audit],
    done: strings.simulateStarted,
  });
  const { data } = query;
  return (
    <Card>
      <Stack>
        <p className={styles.soft}>{strings.simulationAbout}</p>
        {query.isPending && <Loading rows={1} height="18rem" />}
        {query.isError && <Failure error={query.error} onRetry={() => void query.refetch()} />}
        {data?.job && <JobProgress job={data.job} title={strings.simulationJob} />}
        {data?.state === "none" && (
          <Empty
            title={strings.simulationNone}
            action={<Button onClick={order.ask}>{strings.simulate}</Button>}
          >
            {strings.simulationNoneHelp}
          </Empty>
        )}
        {data?.state === "failed" && (
          <Empty
            title={strings.simulationFailed}
            action={<Button onClick={order.ask}>{strings.simulateAgain}</Button>}
          >
            {data.error}
          </Empty>
        )}
        {data && data.rows.length > 0 && (
          <>
            <Simulated rows={data.rows} />
            <Row>
              {data.at && (
                <span className={styles.soft}>
                  {strings.simulatedAt} <Time at={data.at} />
                </span>
              )}
              {data.state === "ready" && (
                <Button small onClick={order.ask}>
                  {strings.simulateAgain}
                </Button>
              )}
            </Row>
          </>
        )}
        {order.dialog}
      </Stack>
    </Card>
  );
}

type Rule = SimulationRow["rule"];
const RULES: readonly Rule[] = ["guarded", "literal"];

function Simulated({ rows }: { rows: readonly SimulationRow[] }) {
  const inForce = useStatus().data?.rule.rule;
  const [named, setRule] = useUrlState("rule", inForce === "literal" ? "literal" : "guarded");
  const rule: Rule = named === "literal" ? "literal" : "guarded";
  const levels = levelsOf(rows);
  const lines = linesOf(rows, rule);
  return (
    <>
      <div className={styles.rule}>
        <SelectField
          label={strings.ruleLabel}
          value={rule}
          hint={strings.ruleAbout[rule]}
          onChange={(event) => setRule(event.target.value)}
        >
          {RULES.map((one) => (
            <option key={one} value={one}>
              {one === inForce ? `${strings.rules[one]} (${strings.inForce})` : strings.rules[one]}
            </option>
          ))}
        </SelectField>
      </div>
      <p className={styles.reading}>{readingOf(rows, rule)}</p>
      {[true, false].map((quiet) => (
        <div key={String(quiet)}>
          <h3 className={styles.tableTitle}>{quiet ? strings.quiet : strings.trouble}</h3>
          <Table label={quiet ? strings.quiet : strings.trouble}>
            <thead>
              <tr>
                <th scope="col">{strings.condition}</th>
                {levels.map((calls) => (
                  <th key={calls} scope="col">
                    {strings.callsPerMinute(calls)}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {lines
                .filter((line) => line.quiet === quiet)
                .map((line) => (
                  <tr key={line.condition}>
                    <th scope="row" className={styles.condition}>
                      {strings.conditions[line.condition]?.name ?? line.condition}
                      <span className={styles.soft}>{strings.conditions[line.condition]?.about}</span>
                    </th>
                    {line.cells.map((cell) => (
                      <td key={cell.calls} data-bad={cell.bad || undefined} className={styles.cell}>
                        {cell.text}
                      </td>
                    ))}
                  </tr>
                ))}
            </tbody>
          </Table>
        </div>
      ))}
    </>
  );
}
