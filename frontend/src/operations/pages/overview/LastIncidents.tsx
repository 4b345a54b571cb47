import { useQuery } from "@tanstack/react-query";
import { Link } from "react-router";
import { Card, Failure, Skeleton } from "@/shared/layout";
import { Ago } from "@/shared/time";
import { overview } from "@/strings/overview";
import { answered, guard } from "../../api/client";
import { keys } from "../../api/queries";
import { StateBadge } from "../../parts/badges";
import { paths } from "../../paths";
import styles from "./Overview.module.css";

const SHOWN = 3;

/** What broke lately, and how it ended. */
export function LastIncidents() {
  const say = overview.incidents;
  const { data, error, refetch } = useQuery({
    queryKey: [...keys.incidents, "newest", SHOWN],
    queryFn: () => answered(guard.GET("/incidents", { params: { query: { limit: SHOWN } } })),
  });
  return (
    <Card className={styles.card}>
      <h2>{say.heading}</h2>
      {error && !data && <Failure error={error} onRetry={() => void refetch()} />}
      {!data && !error && <Skeleton height="4rem" />}
      {data?.incidents.length === 0 && <p>{say.none}</p>}
      {data && data.incidents.length > 0 && (
        <ul className={styles.list}>
          {data.incidents.map((incident) => (
            <li key={incident.id}>
              <div className={styles.conditionHead}>
                <Link to={paths.incident(incident.id)}>{incident.title}</Link>
                <StateBadge state={incident.state} />
              </div>
              <p className={styles.soft}>
                <Ago at={incident.opened_at} />
              </p>
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}
