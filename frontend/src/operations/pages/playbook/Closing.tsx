import { Link } from "react-router";
import { Evidence } from "@/shared/evidenceView";
import { Card, Stack, Table } from "@/shared/layout";
import { playbook as strings } from "@/strings/playbook";
import { paths } from "../../paths";
import styles from "./playbook.module.css";
import type { Policy } from "./policy";

/** What proves that an incident is over. */
export function Closing({ closing }: { closing: Policy["closing"] }) {
  if (closing === null) return null;
  return (
    <Card>
      <div className={styles.prose}>
        <p>
          {strings.closing(
            closing.cleanWindows,
            closing.windowS,
            closing.sloPercent,
            closing.minimumEvidence,
            closing.realSuccessOf.join(", "),
          )}
        </p>
        <p>{strings.closingWait(closing.maximumWaitS)}</p>
        <p>{strings.closingOthers}</p>
        <p>{strings.closingFrozen(closing.attempts)}</p>
      </div>
    </Card>
  );
}

/** The stages of a cutover, as the policy has them. */
export function ForwardAgain({ cutover }: { cutover: Policy["cutover"] }) {
  if (cutover === null) return null;
  const { stageColumns: columns } = strings;
  return (
    <Card>
      <Stack>
        <p className={styles.soft}>{strings.cutoverAbout(cutover.advance, cutover.confidencePercent)}</p>
        <Table label={strings.sections.cutover}>
          <thead>
            <tr>
              <th scope="col">{columns.share}</th>
              <th scope="col">{columns.hold}</th>
              <th scope="col">{columns.exclude}</th>
            </tr>
          </thead>
          <tbody>
            {cutover.stages.map((stage) => (
              <tr key={stage.percent}>
                <td>{strings.share(stage.percent)}</td>
                <td>{strings.seconds(stage.holdS)}</td>
                <td>{strings.exclude(stage.excludePercent)}</td>
              </tr>
            ))}
          </tbody>
        </Table>
        <details className={styles.fold}>
          <summary>{strings.guardrails}</summary>
          <Evidence document={cutover.guardrails} />
        </details>
        <p>
          <Link to={paths.cutover}>{strings.toCutover}</Link>
        </p>
      </Stack>
    </Card>
  );
}
