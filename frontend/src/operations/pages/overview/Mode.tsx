import { CircleCheck, TriangleAlert } from "lucide-react";
import { Badge, Card, Stat, Table } from "@/shared/layout";
import { Ago, Time } from "@/shared/time";
import { overview } from "@/strings/overview";
import type { Schemas } from "../../api/client";
import styles from "./Overview.module.css";
import { person, provider, type Status, withoutStop, withStop } from "./words";

const say = overview.mode;

/** Which provider serves by which row, what the environment says, and which process follows. */
export function Mode({ status }: { status: Status }) {
  const { mode } = status;
  return (
    <Card className={styles.card}>
      <h2>{say.heading}</h2>
      {mode === null ? (
        <p>{say.none}</p>
      ) : (
        <>
          <div className={styles.stats}>
            <Stat label={say.value}>{provider(mode.value)}</Stat>
            <Stat label={say.epoch}>{mode.epoch}</Stat>
            <Stat label={say.since}>
              <Time at={mode.changed_at} style="time" />
            </Stat>
          </div>
          <p className={styles.soft}>{say.by(person(mode.actor, true), withStop(mode.reason))}</p>
        </>
      )}
      <Agreement status={status} />
      <Processes processes={status.processes} epoch={mode?.epoch ?? null} />
    </Card>
  );
}

function Agreement({ status: { drift, mode, highest_mode_epoch: highest } }: { status: Status }) {
  const behind = mode !== null && mode.epoch < highest;
  return (
    <>
      {behind && <Warning text={say.behind(highest)} />}
      {drift.drifting ? (
        <Warning text={withStop(overview.sentence.drift(withoutStop(drift.detail ?? drift.variable)))} />
      ) : (
        <p className={styles.soft}>
          {drift.env_value === null
            ? say.envUnknown(drift.variable)
            : say.agree(drift.variable, drift.env_value)}
        </p>
      )}
    </>
  );
}

function Warning({ text }: { text: string }) {
  return (
    <p className={styles.warning}>
      <TriangleAlert size={18} aria-hidden="true" />
      {text}
    </p>
  );
}

type Process = Schemas["Process"];

function Processes({ processes, epoch }: { processes: readonly Process[]; epoch: number | null }) {
  if (processes.length === 0) return <p className={styles.warning}>{say.nobody}</p>;
  return (
    <Table label={say.table}>
      <thead>
        <tr>
          {[say.process, say.value, say.epoch, say.follows, say.seen, say.revision].map((heading) => (
            <th scope="col" key={heading}>
              {heading}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {processes.map((process) => (
          <tr key={process.instance}>
            <th scope="row" title={`${process.host} ${process.pid}`}>
              {process.kind} <span className={styles.soft}>{process.pid}</span>
            </th>
            <td>{process.mode_value === null ? say.unknown : provider(process.mode_value)}</td>
            <td>
              {process.mode_epoch ?? say.unknown}
              {process.lagging && epoch !== null && ` / ${epoch}`}
            </td>
            <td>
              <Follows process={process} />
            </td>
            <td>
              <Ago at={process.seen_at} />
            </td>
            <td className={styles.mono}>{process.revision?.slice(0, 7) ?? say.unknown}</td>
          </tr>
        ))}
      </tbody>
    </Table>
  );
}

function Follows({ process }: { process: Process }) {
  const wrong = [
    process.lagging && say.lagging,
    process.mode_state !== "FRESH" && (process.mode_state ?? say.unknown),
    process.drifting && say.drifting,
    process.known_good_ok === false && say.knownGoodBad,
  ].filter((one) => typeof one === "string");
  if (wrong.length > 0) {
    return (
      <Badge tone="warn">
        <TriangleAlert size={14} aria-hidden="true" />
        {wrong.join(", ")}
      </Badge>
    );
  }
  return (
    <Badge tone="pass">
      <CircleCheck size={14} aria-hidden="true" />
      {say.follow}
    </Badge>
  );
}
