import { Failure, Loading, PageHeader, Stack } from "@/shared/layout";
import { cutover as strings } from "@/strings/cutover";
import { useCutover, useStatus } from "../../api/queries";
import { Live } from "../../live/AsOf";
import { Begin } from "./Begin";
import { Comparisons } from "./Comparisons";
import { Gate } from "./Gate";
import { History } from "./History";
import { Moves } from "./Moves";
import { Orders } from "./Orders";
import { Standing } from "./Standing";
import { Stays } from "./Stays";
import { Steps } from "./Steps";
import { isOn, mayBegin } from "./stages";

export default function Cutover() {
  const query = useCutover();
  const knownGood = useStatus().data?.known_good ?? null;
  const { data } = query;
  const failed = query.failureReason !== null && (query.isError || data === undefined);
  return (
    <>
      <PageHeader title={strings.title} about={strings.about} />
      <Stack>
        {failed && <Failure error={query.failureReason} onRetry={() => void query.refetch()} />}
        {/* Back must be there also while nobody can say how it stands. */}
        {failed && !data && <Orders status={null} knownGood={knownGood} />}
        {query.isPending && !failed && <Loading rows={4} height="9rem" />}
        {data && (
          <>
            <Live stale={query.isError}>
              <Stack>
                <Standing status={data} knownGood={knownGood} />
                {mayBegin(data) && <Begin again={data.cutover !== null} />}
                <Steps status={data} />
                {isOn(data.cutover) && <Gate status={data} />}
                {isOn(data.cutover) && data.judgement && (
                  <Comparisons
                    judgement={data.judgement}
                    candidate={data.cutover.candidate}
                    mode={data.mode?.value ?? null}
                  />
                )}
                <Moves moves={data.moves} />
                {isOn(data.cutover) && <Stays stays={data.stays} />}
                <History history={data.history} />
              </Stack>
            </Live>
            {isOn(data.cutover) && <Orders status={data} knownGood={knownGood} />}
          </>
        )}
      </Stack>
    </>
  );
}
