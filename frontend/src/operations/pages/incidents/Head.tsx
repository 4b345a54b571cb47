import { CopyButton } from "@/shared/copying";
import { Badge } from "@/shared/layout";
import { Ago, Time } from "@/shared/time";
import { incidents as strings } from "@/strings/incidents";
import { StateBadge } from "../../parts/badges";
import styles from "./incident.module.css";
import { curesOf } from "./listing";
import type { IncidentDetail } from "./permitted";
import { personOf } from "./story";

/** What it is, where it stands and since when, and how it is named elsewhere. */
export function Head({ incident }: { incident: IncidentDetail }) {
  const taken = incident.acknowledged_by.map(personOf).join(", ");
  return (
    <header className={styles.head}>
      <div className={styles.badges}>
        <StateBadge state={incident.state} />
        <Badge>{incident.environment}</Badge>
      </div>
      <h1 tabIndex={-1}>{incident.title}</h1>
      <dl className={styles.about}>
        <div>
          <dt>{strings.opened}</dt>
          <dd>
            <Time at={incident.opened_at} />
          </dd>
        </div>
        <div>
          <dt>{strings.changed}</dt>
          <dd>
            <Ago at={incident.updated_at} />
          </dd>
        </div>
        <div>
          <dt>{strings.columns.cure}</dt>
          <dd>{curesOf(incident).join(", ") || strings.notYet}</dd>
        </div>
        <div>
          <dt>{strings.takenOn}</dt>
          <dd>{taken || strings.nobody}</dd>
        </div>
        <div>
          <dt>{strings.idLabel}</dt>
          <dd className={styles.id}>
            <code>{incident.id}</code>
            <CopyButton text={incident.id} label={strings.id} />
          </dd>
        </div>
      </dl>
    </header>
  );
}
