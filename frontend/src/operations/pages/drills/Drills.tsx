import { Failure, Loading, PageHeader, Stack } from "@/shared/layout";
import { drills as strings } from "@/strings/drills";
import { keys } from "../../api/queries";
import { Live } from "../../live/AsOf";
import { JobProgress, useNewestJob } from "../../parts/jobs";
import { History } from "./History";
import { useDrills } from "./queries";
import { Scenarios } from "./Scenarios";

export default function Drills() {
  const query = useDrills();
  const { job, running } = useNewestJob(["drill"], [keys.drills]);
  const { data } = query;
  const titleOf = (name: string | null) =>
    data?.scenarios.find((one) => one.scenario === name)?.title ?? name ?? "";
  return (
    <>
      <PageHeader title={strings.title} about={strings.about} />
      <Stack>
        {query.isError && <Failure error={query.error} onRetry={() => void query.refetch()} />}
        {query.isPending && <Loading rows={4} height="8rem" />}
        {data && (
          <>
            {job && (running || job.state !== "done") && (
              <JobProgress job={job} title={strings.running(titleOf(job.subject))} />
            )}
            <Live stale={query.isError}>
              <Stack>
                <History history={data.history} titleOf={titleOf} />
                <Scenarios drills={data} running={running} />
              </Stack>
            </Live>
          </>
        )}
      </Stack>
    </>
  );
}
