import { Banner } from "@/shared/layout";
import { Ago, Time } from "@/shared/time";
import { live } from "@/strings/live";
import { operations } from "@/strings/operations";
import { useFreshness } from "./live";

/** Says so, on every page, when what is shown is not the present. */
export function FreshnessBanner() {
  const { fresh, reason, asOf } = useFreshness();
  if (fresh || reason === null || reason === "waiting") return null;
  const at = asOf?.toISOString() ?? null;
  return (
    <Banner tone="blind" urgent>
      <strong>{live.reasons[reason]}</strong>{" "}
      {at === null ? (
        operations.live.never
      ) : (
        <>
          {live.nothingNewer} <Time at={at} />{" "}
          <span aria-hidden="true">
            (<Ago at={at} />)
          </span>
        </>
      )}
    </Banner>
  );
}
