import { CircleCheck, CircleDashed, CircleX, type LucideIcon } from "lucide-react";
import { Button } from "@/shared/controls";
import { Hash } from "@/shared/copying";
import { bytes, count } from "@/shared/format";
import {
  Badge,
  Banner,
  Card,
  Empty,
  Failure,
  Grid,
  Loading,
  Stack,
  Stat,
  Table,
  type Tone,
} from "@/shared/layout";
import { Ago, Time } from "@/shared/time";
import { safekeeping as strings } from "@/strings/safekeeping";
import { answered, guard, type Schemas } from "../../api/client";
import { keys } from "../../api/queries";
import { Live } from "../../live/AsOf";
import { JobProgress, useNewestJob } from "../../parts/jobs";
import { useOrder } from "../../parts/order";
import { type Backup, type Standing, standingOf, totalBytes, usable } from "./kept";
import { useBackups } from "./queries";
import styles from "./safekeeping.module.css";

const LOOKS: Record<Standing, { tone: Tone; icon: LucideIcon }> = {
  proven: { tone: "pass", icon: CircleCheck },
  unproven: { tone: "warn", icon: CircleDashed },
  broken: { tone: "fail", icon: CircleX },
};

/** What a database restore can take, and how to make one more. */
export function Backups() {
  const query = useBackups();
  const { job, running } = useNewestJob(["backup", "verify"], [keys.backups, keys.status]);
  const order = useOrder({
    title: strings.createTitle,
    action: strings.create,
    about: <p>{strings.createAbout}</p>,
    run: (reason) => answered(guard.POST("/backups", { body: { reason } })),
    touches: [keys.jobs, keys.backups, keys.audit],
    done: strings.createStarted,
  });
  const { data } = query;
  return (
    <section className={styles.section}>
      <div className={styles.backupsHead}>
        <div>
          <h2>{strings.backups}</h2>
          <p className={styles.soft}>{strings.backupsAbout}</p>
        </div>
        {data?.supported && (
          <Button kind="primary" disabled={running} onClick={order.ask}>
            {strings.create}
          </Button>
        )}
      </div>
      {data?.alarm && (
        <Banner tone="fail" urgent>
          {strings.alarm(data.alarm)}
        </Banner>
      )}
      {query.isError && <Failure error={query.error} onRetry={() => void query.refetch()} />}
      {query.isPending && <Loading rows={2} height="7rem" />}
      {job && (
        <JobProgress
          job={job}
          title={job.kind === "backup" ? strings.jobs.backup : strings.jobs.verify(job.subject)}
        />
      )}
      {data && !data.supported && <Empty title={strings.unsupported}>{strings.unsupportedHelp}</Empty>}
      {data?.supported && data.backups.length === 0 && !running && (
        <Empty title={strings.noBackups}>{strings.noBackupsHelp}</Empty>
      )}
      {data && data.backups.length > 0 && (
        <Live stale={query.isError}>
          <Kept backups={data.backups} job={running ? job : null} />
        </Live>
      )}
      {order.dialog}
    </section>
  );
}

function Kept({ backups, job }: { backups: readonly Backup[]; job: Schemas["Job"] | null }) {
  const newest = usable(backups);
  const { columns } = strings;
  return (
    <Stack>
      <Card>
        <Grid column="11rem">
          <Stat label={strings.newest} note={newest && strings.restoredNow}>
            {newest ? <Ago at={newest.created_at} /> : strings.nothingProven}
          </Stat>
          <Stat label={strings.count}>{count(backups.length)}</Stat>
          <Stat label={strings.size}>{bytes(totalBytes(backups))}</Stat>
        </Grid>
      </Card>
      <Table label={strings.backups}>
        <thead>
          <tr>
            <th scope="col">{columns.at}</th>
            <th scope="col">{columns.standing}</th>
            <th scope="col">{columns.size}</th>
            <th scope="col">{columns.id}</th>
            <th scope="col">{columns.act}</th>
          </tr>
        </thead>
        <tbody>
          {backups.map((backup) => (
            <RowOf key={backup.id} backup={backup} job={job} />
          ))}
        </tbody>
      </Table>
    </Stack>
  );
}

function RowOf({ backup, job }: { backup: Backup; job: Schemas["Job"] | null }) {
  const standing = standingOf(backup);
  const { tone, icon: Icon } = LOOKS[standing];
  const order = useOrder({
    title: strings.verifyTitle,
    action: strings.verify,
    about: <p>{strings.verifyAbout(backup.id)}</p>,
    reason: "optional",
    run: (reason) =>
      answered(
        guard.POST("/backups/{id}/verify", {
          params: { path: { id: backup.id } },
          body: { reason: reason || null },
        }),
      ),
    touches: [keys.jobs, keys.backups, keys.audit],
    done: strings.verifyStarted,
  });
  return (
    <tr>
      <td className={styles.nowrap}>
        <Time at={backup.created_at} />
        <span className={styles.line}>
          <Ago at={backup.created_at} />
        </span>
      </td>
      <td className={styles.wide}>
        <Badge tone={tone}>
          <Icon size={14} aria-hidden="true" />
          {strings.standing[standing]}
        </Badge>
        {backup.verified_at && (
          <span className={styles.line}>
            <Time at={backup.verified_at} />
          </span>
        )}
        {backup.problem && <span className={styles.line}>{backup.problem}</span>}
      </td>
      <td className={styles.nowrap}>
        {backup.size_bytes === null ? strings.bytesUnknown : bytes(backup.size_bytes)}
      </td>
      <td className={styles.nowrap}>
        <Hash value={backup.id} label={strings.idLabel} />
      </td>
      <td>
        <Button
          small
          disabled={job !== null}
          busy={job?.kind === "verify" && job.subject === backup.id}
          aria-label={strings.verifyNamed(backup.id)}
          onClick={order.ask}
        >
          {strings.verify}
        </Button>
        {order.dialog}
      </td>
    </tr>
  );
}
