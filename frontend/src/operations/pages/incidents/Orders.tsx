import { Button } from "@/shared/controls";
import { Card } from "@/shared/layout";
import { incidents as strings } from "@/strings/incidents";
import { useMe } from "../../api/queries";
import { useFreshness } from "../../live/live";
import styles from "./needed.module.css";
import { useOrders } from "./ordering";
import { type IncidentDetail, isOver, ORDERS, objection } from "./permitted";
import type { Sending } from "./sending";

/** Names the place in the page, for links to it. */
export const ORDERS_ID = "orders";

/** Everything a person may order; what cannot be ordered now says why. */
export function Orders({ incident, sending }: { incident: IncidentDetail; sending: Sending }) {
  const orders = useOrders(incident, sending);
  const { data: me } = useMe();
  const { fresh } = useFreshness();
  if (isOver(incident.state)) return null;
  return (
    <Card>
      <h2 id={ORDERS_ID}>{strings.orders.title}</h2>
      <p className={styles.soft}>{fresh ? strings.orders.about : strings.why.notFresh}</p>
      <ul className={styles.orders}>
        {ORDERS.map((order) => {
          const why = objection(order, incident, incident.journal, me ?? null);
          return (
            <li key={order}>
              <Button
                small
                kind={order === "abort" || order === "close" ? "danger" : "plain"}
                disabled={why !== null}
                aria-describedby={`about-${order}`}
                onClick={orders.ask[order]}
              >
                {strings.orders.names[order]}
              </Button>
              <p id={`about-${order}`} className={styles.soft}>
                {why === null ? strings.orders.what[order] : `${strings.orders.notNow} ${why}`}
              </p>
            </li>
          );
        })}
      </ul>
      {orders.dialogs}
    </Card>
  );
}
