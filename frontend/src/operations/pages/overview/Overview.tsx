import { useState } from "react";
import { Badge, Failure, Grid, Skeleton, Stack } from "@/shared/layout";
import { overview } from "@/strings/overview";
import { useChecklist, useCutover, useIncident, useMe, useStatus } from "../../api/queries";
import { ChartWall, type Range } from "../../charts/ChartWall";
import { Live } from "../../live/AsOf";
import { useFreshness } from "../../live/live";
import { ActionCard } from "./ActionCard";
import { Conditions } from "./Conditions";
import { Headline } from "./Headline";
import { LastIncidents } from "./LastIncidents";
import { Mode } from "./Mode";
import { nextAction } from "./next_action";
import styles from "./Overview.module.css";
import { sentenceFor } from "./sentence";
import { AlarmsCard, Detectable, GuardCard, ProbesCard, SourcesCard } from "./Watching";
import { provider } from "./words";

/** Whether speech is safe, what broke, what was done about it, and the one thing that may be pressed. */
export default function Overview() {
  const { data: status, error, refetch } = useStatus();
  const open = status?.incident?.id ?? null;
  const { data: incident } = useIncident(open);
  const { data: checklist } = useChecklist(open);
  const { data: cutover } = useCutover();
  const { data: me } = useMe();
  const freshness = useFreshness();
  const [minutes, setMinutes] = useState<Range>(60);

  const sentence = sentenceFor({
    status: status ?? null,
    freshness,
    incident: incident ?? null,
    checklist: open !== null && checklist ? checklist : null,
  });
  const action = nextAction({
    status: status ?? null,
    freshness,
    cutover: cutover ?? null,
    me: me?.label ?? null,
  });
  return (
    <Stack>
      <header className={styles.head}>
        <h1 tabIndex={-1}>{overview.title}</h1>
        {status && <Badge>{overview.about(status.environment)}</Badge>}
      </header>
      <div className={styles.top}>
        <Headline sentence={sentence} />
        <ActionCard action={action} />
      </div>
      {error && !status && <Failure error={error} onRetry={() => void refetch()} />}
      {status ? (
        <Live>
          <div className={styles.pair}>
            <Mode status={status} />
            <Stack>
              <LastIncidents />
              <AlarmsCard alarms={status.alarms} />
            </Stack>
          </div>
        </Live>
      ) : (
        !error && <Skeleton height="80dvh" />
      )}
      {(status || error) && <ChartWall minutes={minutes} onMinutes={setMinutes} lane={provider} />}
      {status && (
        <Live>
          <Stack>
            <Conditions status={status} />
            <Grid column="19rem">
              <SourcesCard sources={status.sources} />
              <ProbesCard probes={status.probes} serving={status.mode?.value ?? null} />
              <Stack>
                <Detectable detectable={status.detectable} />
                <GuardCard status={status} />
              </Stack>
            </Grid>
          </Stack>
        </Live>
      )}
    </Stack>
  );
}
