import { CircleCheck, CircleDashed, CircleSlash, CircleX, type LucideIcon } from "lucide-react";
import { classes } from "@/shared/classes";
import { Evidence } from "@/shared/evidenceView";
import { Card, Failure, Loading, Spoken } from "@/shared/layout";
import { MarkdownLine } from "@/shared/markdownView";
import { incidents as strings } from "@/strings/incidents";
import type { Schemas } from "../../api/client";
import { commonDetail } from "./checking";
import styles from "./checklist.module.css";
import { type IncidentDetail, isOver } from "./permitted";
import { useFillingChecklist } from "./queries";

type Row = Schemas["ChecklistRow"];

const SHAPES: Record<Row["state"], LucideIcon> = {
  green: CircleCheck,
  red: CircleX,
  pending: CircleDashed,
  not_applicable: CircleSlash,
};

/** The playbook's eight points, each ticked by evidence or not at all; it fills while the suite runs. */
export function Checklist({ incident }: { incident: IncidentDetail }) {
  const fills = !isOver(incident.state) && incident.state !== "RECOVERED";
  const query = useFillingChecklist(incident.id, fills);
  const rows = query.data?.rows ?? [];
  const applies = rows.some((row) => row.state !== "not_applicable");
  const same = commonDetail(rows);
  return (
    <Card>
      <div className={styles.top}>
        <h2>{strings.checklist.title}</h2>
        {query.data && (
          <strong className={styles.count} role="status">
            {applies ? strings.checklist.done(query.data.done, query.data.of) : strings.checklist.none}
          </strong>
        )}
      </div>
      {query.isPending && <Loading rows={8} height="2.5rem" />}
      {query.isError && <Failure error={query.error} onRetry={() => void query.refetch()} />}
      {same !== null && <p className={styles.detail}>{same}</p>}
      <ul className={styles.rows}>
        {rows.map((row) => (
          <Point key={row.key} row={row} detailed={same === null} />
        ))}
      </ul>
    </Card>
  );
}

function Point({ row, detailed }: { row: Row; detailed: boolean }) {
  const Shape = SHAPES[row.state];
  return (
    <li className={classes(styles.row, styles[row.state])}>
      <Shape size={18} aria-hidden="true" />
      <div className={styles.said}>
        <p className={styles.text}>
          <MarkdownLine text={row.text} />
        </p>
        <p className={styles.detail}>
          <strong>{strings.checklist.states[row.state]}</strong>
          {detailed && `. ${row.detail}`}
        </p>
        {Object.keys(row.evidence).length > 0 && (
          <details>
            <summary>
              {strings.story.evidence}
              <Spoken>{strings.checklist.evidence(row.text)}</Spoken>
            </summary>
            <Evidence document={row.evidence} whole />
          </details>
        )}
      </div>
    </li>
  );
}
