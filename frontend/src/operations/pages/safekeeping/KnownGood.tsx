import { CircleCheck, GitCommitVertical, TriangleAlert } from "lucide-react";
import { CopyButton, Hash } from "@/shared/copying";
import { Badge, Banner, Card, Empty, Failure, Loading, Row, Stack, Table } from "@/shared/layout";
import { Ago, Time } from "@/shared/time";
import { safekeeping as strings } from "@/strings/safekeeping";
import { useStatus } from "../../api/queries";
import { Live } from "../../live/AsOf";
import { whoOf } from "../../parts/who";
import { astray, changesOf, type KnownGood, PARTS, type Part } from "./kept";
import { useKnownGood } from "./queries";
import styles from "./safekeeping.module.css";

/** The record in force, whether everybody runs it, and the records before. */
export function KnownGoodSection() {
  const query = useKnownGood();
  const records = query.data?.known_good ?? [];
  const [current] = records;
  return (
    <section className={styles.section}>
      <div>
        <h2>{strings.knownGood}</h2>
        <p className={styles.soft}>{strings.knownGoodAbout}</p>
      </div>
      {query.isError && <Failure error={query.error} onRetry={() => void query.refetch()} />}
      {query.isPending && <Loading rows={1} height="14rem" />}
      {query.data && current === undefined && (
        <Empty
          title={strings.empty}
          action={
            <span className={styles.command}>
              <code>{strings.command}</code>
              <CopyButton text={strings.command} label={strings.commandLabel} />
            </span>
          }
        >
          {strings.emptyHelp}
        </Empty>
      )}
      {current && (
        <Live stale={query.isError}>
          <Stack>
            <Current record={current} />
            {records.length > 1 && <Earlier records={records} />}
          </Stack>
        </Live>
      )}
    </section>
  );
}

function Current({ record }: { record: KnownGood }) {
  return (
    <Card>
      <Stack>
        <div className={styles.currentHead}>
          <Row>
            <h3>{strings.record(record.seq)}</h3>
            <Badge tone="pass">
              <CircleCheck size={14} aria-hidden="true" />
              {strings.current}
            </Badge>
            {record.changed && <ChangedBadge />}
          </Row>
          <p className={styles.soft}>
            {strings.recorded} <Time at={record.at} /> (<Ago at={record.at} />){" "}
            {strings.by(whoOf(record.actor))}: {record.reason}
          </p>
        </div>
        <Parts parts={PARTS} record={record} className={styles.parts} />
        {record.changed && <p className={styles.soft}>{strings.changedHelp}</p>}
        <Followed />
      </Stack>
    </Card>
  );
}

function ChangedBadge() {
  return (
    <Badge tone="warn" title={strings.changedHelp}>
      <GitCommitVertical size={14} aria-hidden="true" />
      {strings.changed}
    </Badge>
  );
}

interface PartsProps {
  parts: readonly Part[];
  record: KnownGood;
  className: string | undefined;
}

function Parts({ parts, record, className }: PartsProps) {
  return (
    <dl className={className}>
      {parts.map((part) => (
        <div key={part}>
          <dt>{strings.parts[part]}</dt>
          <dd>
            <Value part={part} record={record} />
          </dd>
        </div>
      ))}
    </dl>
  );
}

function Value({ part, record }: { part: Part; record: KnownGood }) {
  const value = record[part];
  if (value === null)
    return <span className={styles.soft}>{part === "release" ? strings.noRelease : strings.none}</span>;
  if (part === "mode") return strings.provider(value);
  if (part === "revision" || part === "environment_sha256" || part === "qwen_key_fingerprint") {
    return <Hash value={value} short={16} label={strings.hashOf(strings.parts[part])} />;
  }
  return <code>{value}</code>;
}

/** Whether the live processes run what the record says. */
function Followed() {
  const { data } = useStatus();
  if (!data) return null;
  const known = data.processes.filter((process) => process.known_good_ok !== null);
  if (known.length === 0) return <p className={styles.soft}>{strings.noProcesses}</p>;
  const others = astray(known);
  const text = strings.follow(known.length - others.length, known.length);
  if (others.length === 0) {
    return (
      <p className={styles.followed}>
        <CircleCheck size={16} aria-hidden="true" /> {text}
      </p>
    );
  }
  return (
    <Banner tone="warn">
      <TriangleAlert size={16} aria-hidden="true" /> {text}{" "}
      {others.map((process) => strings.astray(process.kind, process.host, process.pid)).join(" ")}
    </Banner>
  );
}

function Earlier({ records }: { records: readonly KnownGood[] }) {
  const { historyColumns: columns } = strings;
  return (
    <details className={styles.fold}>
      <summary>{strings.history}</summary>
      <Table label={strings.history}>
        <thead>
          <tr>
            <th scope="col">{columns.record}</th>
            <th scope="col">{columns.at}</th>
            <th scope="col">{columns.who}</th>
            <th scope="col">{columns.why}</th>
            <th scope="col">{columns.changes}</th>
          </tr>
        </thead>
        <tbody>
          {records.map((record, at) => {
            const before = records[at + 1];
            const changes = changesOf(record, before);
            return (
              <tr key={record.seq}>
                <td className={styles.nowrap}>
                  {strings.record(record.seq)} {record.changed && <ChangedBadge />}
                </td>
                <td className={styles.nowrap}>
                  <Time at={record.at} />
                </td>
                <td>{whoOf(record.actor)}</td>
                <td className={styles.wide}>{record.reason}</td>
                <td className={styles.wide}>
                  {before === undefined && strings.firstRecord}
                  {before !== undefined && changes.length === 0 && strings.nothingChanged}
                  {changes.length > 0 && <Parts parts={changes} record={record} className={styles.changes} />}
                </td>
              </tr>
            );
          })}
        </tbody>
      </Table>
    </details>
  );
}
