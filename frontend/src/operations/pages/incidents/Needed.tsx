import { CircleCheck, Hand, Hourglass } from "lucide-react";
import type { ReactNode } from "react";
import { classes } from "@/shared/classes";
import { Button, buttonClass } from "@/shared/controls";
import { Banner } from "@/shared/layout";
import { MarkdownLine } from "@/shared/markdownView";
import { incidents as strings } from "@/strings/incidents";
import { useMe } from "../../api/queries";
import { useFreshness } from "../../live/live";
import { Approval } from "./Approval";
import styles from "./needed.module.css";
import { useOrders } from "./ordering";
import { type IncidentDetail, isOver, type Need, needOf, type OrderName, objection } from "./permitted";
import { useGuardNow } from "./queries";
import { SentStrip } from "./SentStrip";
import type { Sending } from "./sending";

interface Props {
  incident: IncidentDetail;
  sending: Sending;
  /** Where all orders stand in this page; null while they are not shown. */
  orders: string | null;
}

/** The one thing that is asked of a person now, with the way to do it; or that nothing is. */
export function Needed({ incident, sending, orders }: Props) {
  const need = needOf(incident, useGuardNow());
  const { fresh } = useFreshness();
  return (
    <>
      <SentStrip incident={incident} sent={sending.sent} />
      {!fresh && !isOver(incident.state) && <Banner tone="blind">{strings.why.notFresh}</Banner>}
      {need.kind === "approve" ? (
        need.plans.map((plan, at) => (
          <Approval
            key={plan.plan_sha256}
            incident={incident}
            plan={plan}
            sending={sending}
            first={at === 0}
            others={need.plans.length - 1}
          />
        ))
      ) : (
        <Asked incident={incident} sending={sending} orders={orders} need={need} />
      )}
    </>
  );
}

const URGENT: ReadonlySet<Need["kind"]> = new Set(["held", "expired", "frozen", "instructed", "waiting"]);
const ANSWERS: Partial<Record<Need["kind"], readonly OrderName[]>> = {
  held: ["resume"],
  expired: ["resume"],
  waiting: ["resume"],
  frozen: ["resume", "abort", "close"],
};

function Asked({
  incident,
  sending,
  orders: all,
  need,
}: Props & { need: Exclude<Need, { kind: "approve" }> }) {
  const urgent = URGENT.has(need.kind);
  const orders = useOrders(incident, sending);
  const { data: me } = useMe();
  const untaken = !isOver(incident.state) && incident.acknowledged_by.length === 0;
  const answers = ANSWERS[need.kind] ?? [];
  const offered = untaken && answers.length === 0 ? (["ack"] as const) : answers;
  const may = offered.filter((order) => objection(order, incident, incident.journal, me ?? null) === null);
  const Icon = urgent ? Hand : isOver(incident.state) ? CircleCheck : Hourglass;
  return (
    <section className={classes(styles.need, urgent && styles.urgent)} aria-labelledby="needed">
      <Icon size={22} aria-hidden="true" />
      <div className={styles.said}>
        <h2 id="needed">{urgent ? strings.need.title : strings.need.none}</h2>
        <p>{sentence(need, incident)}</p>
        {urgent && untaken && <p className={styles.soft}>{strings.need.takeOn}</p>}
      </div>
      {!isOver(incident.state) && (
        <div className={styles.answers}>
          {may.map((order, at) => (
            <Button
              key={order}
              kind={at === 0 && urgent ? "primary" : order === "abort" ? "danger" : "plain"}
              onClick={orders.ask[order]}
            >
              {strings.orders.names[order]}
            </Button>
          ))}
          {all !== null && (
            <a className={buttonClass("quiet")} href={`#${all}`}>
              {strings.orders.all}
            </a>
          )}
        </div>
      )}
      {orders.dialogs}
    </section>
  );
}

function sentence(need: Exclude<Need, { kind: "approve" }>, incident: IncidentDetail): ReactNode {
  switch (need.kind) {
    case "begins":
      return strings.need.begins(need.plan.title);
    case "aborting":
      return strings.need.aborting(need.by, need.reason);
    case "held":
      return strings.need.held(need.by, need.reason);
    case "expired":
      return strings.need.expired(need.plan.title);
    case "frozen":
      return (
        <>
          {strings.need.frozen} {need.instruction && <MarkdownLine text={need.instruction} />}
        </>
      );
    case "instructed":
      return (
        <>
          {strings.need.instructed} <MarkdownLine text={need.instruction} />
        </>
      );
    case "waiting":
      return strings.need.waiting;
    case "none":
      return strings.need.noneState[incident.state];
  }
}
