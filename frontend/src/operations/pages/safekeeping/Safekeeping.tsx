import { PageHeader, Stack } from "@/shared/layout";
import { safekeeping as strings } from "@/strings/safekeeping";
import { Backups } from "./Backups";
import { KnownGoodSection } from "./KnownGood";
import { useKnownGood } from "./queries";

export default function Safekeeping() {
  const { isPending } = useKnownGood();
  return (
    <>
      <PageHeader title={strings.title} about={strings.about} />
      <Stack>
        <KnownGoodSection />
        {/* Not before: the record above it would push it down. */}
        {!isPending && <Backups />}
      </Stack>
    </>
  );
}
