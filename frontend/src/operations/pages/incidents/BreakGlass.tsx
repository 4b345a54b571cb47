import { Siren } from "lucide-react";
import { Button } from "@/shared/controls";
import { Banner } from "@/shared/layout";
import { incidents as strings } from "@/strings/incidents";
import { answered, guard } from "../../api/client";
import { keys } from "../../api/queries";
import { useOrder } from "../../parts/order";
import styles from "./approval.module.css";
import { type IncidentDetail, type Plan, shortHash } from "./permitted";
import type { Sending } from "./sending";

interface Props {
  incident: IncidentDetail;
  plan: Plan;
  sending: Sending;
}

/** One person alone, in an emergency: apart from agreement, and with what it means. */
export function BreakGlass({ incident, plan, sending }: Props) {
  const order = useOrder({
    title: strings.breakGlass.title,
    action: strings.breakGlass.action,
    kind: "danger",
    about: (
      <>
        <Banner tone="fail">{strings.breakGlass.what(plan.approvals)}</Banner>
        <p>
          <strong>{plan.title}</strong> <code>{shortHash(plan)}</code>
        </p>
        <ul className={styles.means}>
          {strings.breakGlass.means.map((one) => (
            <li key={one}>{one}</li>
          ))}
        </ul>
        <p>{strings.breakGlass.when}</p>
      </>
    ),
    words: {
      label: strings.breakGlass.reason,
      missing: strings.breakGlass.reasonMissing,
      rows: 3,
      limit: 4000,
    },
    typed: shortHash(plan),
    touches: [keys.incident(incident.id)],
    done: null,
    run: (reason: string) =>
      sending.send(strings.orders.breakGlass, () =>
        answered(
          guard.POST("/incidents/{id}/approve", {
            params: { path: { id: incident.id } },
            body: { plan: plan.plan_sha256, reason, break_glass: true },
          }),
        ),
      ),
  });
  return (
    <div className={styles.glass}>
      <p className={styles.soft}>{strings.breakGlass.when}</p>
      <Button small kind="danger" onClick={order.ask}>
        <Siren size={16} aria-hidden="true" />
        {strings.breakGlass.open}
      </Button>
      {order.dialog}
    </div>
  );
}
