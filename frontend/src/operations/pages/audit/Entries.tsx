import {
  CircleUser,
  KeyRound,
  type LucideIcon,
  Server,
  Siren,
  Snowflake,
  Split,
  SquareTerminal,
  ToggleLeft,
} from "lucide-react";
import { Link } from "react-router";
import { Evidence } from "@/shared/evidenceView";
import { Badge } from "@/shared/layout";
import { Time } from "@/shared/time";
import { audit as strings } from "@/strings/audit";
import { isPerson, whoOf } from "../../parts/who";
import { paths } from "../../paths";
import styles from "./audit.module.css";
import { byDay, detailOf, type Entry } from "./days";

const ICONS: Record<Entry["source"], LucideIcon> = {
  journal: Siren,
  mode: ToggleLeft,
  freeze: Snowflake,
  keys: KeyRound,
  cutover: Split,
  job: SquareTerminal,
};

interface Props {
  entries: readonly Entry[];
  /** Whose entries these are; empty: everybody's. */
  person: string;
  onPerson: (person: string) => void;
}

/** Who did what and why, by days. */
export function Entries({ entries, person, onPerson }: Props) {
  return (
    <div className={styles.days}>
      {byDay(entries).map((day) => (
        <section key={day.name} aria-label={day.name}>
          <h2 className={styles.day}>{day.name}</h2>
          <ol className={styles.list}>
            {day.entries.map(({ id, entry }) => (
              <Row key={id} entry={entry} pressable={person === ""} onPerson={onPerson} />
            ))}
          </ol>
        </section>
      ))}
    </div>
  );
}

interface RowProps {
  entry: Entry;
  pressable: boolean;
  onPerson: (person: string) => void;
}

function Row({ entry, pressable, onPerson }: RowProps) {
  const Icon = ICONS[entry.source];
  const Who = isPerson(entry.actor) ? CircleUser : Server;
  const who = whoOf(entry.actor);
  const detail = detailOf(entry);
  const asked = isPerson(entry.actor) ? who : entry.actor;
  return (
    <li className={styles.row}>
      <span className={styles.time}>
        <Time at={entry.at} style="time" />
      </span>
      <span className={styles.source}>
        <Badge>
          <Icon size={14} aria-hidden="true" />
          {strings.sources[entry.source]}
        </Badge>
      </span>
      <div className={styles.what}>
        <p>
          <span className={styles.who}>
            <Who size={16} aria-hidden="true" />
            {pressable ? (
              <button type="button" title={strings.showOf(who)} onClick={() => onPerson(asked)}>
                {who}
              </button>
            ) : (
              <strong>{who}</strong>
            )}
          </span>{" "}
          {entry.what}
        </p>
        {entry.reason && (
          <p className={styles.reason}>
            {strings.because} {entry.reason}
          </p>
        )}
        {entry.incident && (
          <p className={styles.reason}>
            {strings.incident} <Link to={paths.incident(entry.incident)}>{entry.incident}</Link>
          </p>
        )}
        {Object.keys(detail).length > 0 && (
          <details className={styles.fold}>
            <summary>{strings.detail}</summary>
            <Evidence document={detail} whole />
          </details>
        )}
      </div>
    </li>
  );
}
