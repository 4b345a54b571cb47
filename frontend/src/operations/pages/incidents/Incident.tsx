import { ArrowLeft } from "lucide-react";
import { useId } from "react";
import { Link, useParams, useSearchParams } from "react-router";
import { buttonClass } from "@/shared/controls";
import { Empty, Failure, Loading } from "@/shared/layout";
import { incidents as strings } from "@/strings/incidents";
import { useIncident } from "../../api/queries";
import { Live } from "../../live/AsOf";
import { paths } from "../../paths";
import { Checklist } from "./Checklist";
import { Head } from "./Head";
import styles from "./incident.module.css";
import { Needed } from "./Needed";
import { ORDERS_ID, Orders } from "./Orders";
import { isOver } from "./permitted";
import { isMissing } from "./queries";
import { Recovery } from "./Recovery";
import { Report } from "./Report";
import { Story } from "./Story";
import { useSending } from "./sending";
import { TimesLine } from "./TimesLine";

type View = "story" | "report";
const VIEWS: readonly View[] = ["story", "report"];

export default function IncidentPage() {
  const { id = "" } = useParams();
  return <One key={id} id={id} />;
}

function One({ id }: { id: string }) {
  const query = useIncident(id);
  const sending = useSending(id);
  const [search, setSearch] = useSearchParams();
  const view = VIEWS.find((one) => one === search.get("view")) ?? "story";
  const panel = useId();
  if (query.isPending) return <Loading rows={4} height="9rem" />;
  if (!query.data) {
    if (!isMissing(query.error)) {
      return <Failure error={query.error} onRetry={() => void query.refetch()} />;
    }
    return (
      <Empty
        title={strings.noSuch}
        action={
          <Link className={buttonClass()} to={paths.incidents}>
            {strings.back}
          </Link>
        }
      >
        {strings.noSuchHelp}
      </Empty>
    );
  }
  const incident = query.data;
  const choose = (next: View) => {
    setSearch(
      (before) => {
        if (next === "story") before.delete("view");
        else before.set("view", next);
        return before;
      },
      { replace: true },
    );
  };
  return (
    <div className={styles.page}>
      <Link className={styles.back} to={paths.incidents}>
        <ArrowLeft size={16} aria-hidden="true" />
        {strings.back}
      </Link>
      <Live>
        <Head incident={incident} />
      </Live>
      {query.isError && <Failure error={query.error} onRetry={() => void query.refetch()} />}
      <Needed incident={incident} sending={sending} orders={view === "story" ? ORDERS_ID : null} />
      <Live>
        <TimesLine times={incident.times} over={isOver(incident.state)} />
      </Live>
      <div role="tablist" aria-label={strings.views} className={styles.views}>
        {VIEWS.map((one) => (
          <button
            key={one}
            type="button"
            role="tab"
            id={`${panel}-${one}`}
            aria-selected={view === one}
            aria-controls={panel}
            tabIndex={view === one ? 0 : -1}
            onClick={() => choose(one)}
            onKeyDown={(event) => {
              if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
              const other = one === "story" ? "report" : "story";
              choose(other);
              document.getElementById(`${panel}-${other}`)?.focus();
            }}
          >
            {strings.view[one]}
          </button>
        ))}
      </div>
      <div role="tabpanel" id={panel} aria-labelledby={`${panel}-${view}`}>
        {view === "report" ? (
          <Report id={id} over={isOver(incident.state)} />
        ) : (
          <div className={styles.columns}>
            <Live>
              <Story incident={incident} />
            </Live>
            <div className={styles.side}>
              <Live>
                <Checklist incident={incident} />
              </Live>
              <Live>
                <Recovery incident={incident} />
              </Live>
              <Orders incident={incident} sending={sending} />
            </div>
          </div>
        )}
      </div>
    </div>
  );
}
