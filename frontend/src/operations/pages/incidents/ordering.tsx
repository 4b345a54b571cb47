import { Fragment, type ReactNode } from "react";
import { incidents as strings } from "@/strings/incidents";
import { answered, guard } from "../../api/client";
import { keys } from "../../api/queries";
import { useOrder } from "../../parts/order";
import { type IncidentDetail, ORDERS, type OrderName } from "./permitted";
import type { Sending } from "./sending";

const LIMIT = 4000;

/** How each order is asked for; `ask` opens its dialog, and `dialogs` stands anywhere in the page. */
export function useOrders(incident: IncidentDetail, sending: Sending) {
  const at = { params: { path: { id: incident.id } } };
  const words = {
    label: strings.orders.reason,
    missing: strings.orders.reasonMissing,
    rows: 3,
    limit: LIMIT,
  };
  const common = { touches: [keys.incident(incident.id)], done: null };
  const ordered = (name: "hold" | "resume" | "abort", kind?: "danger") => ({
    ...common,
    title: strings.orders.names[name],
    action: strings.orders.names[name],
    about: <p>{strings.orders.what[name]}</p>,
    words,
    ...(kind ? { kind } : {}),
    run: (reason: string) =>
      sending.send(strings.orders.names[name], () =>
        answered(guard.POST(`/incidents/{id}/${name}`, { ...at, body: { reason } })),
      ),
  });
  const orders = {
    ack: useOrder({
      ...common,
      title: strings.orders.names.ack,
      action: strings.orders.names.ack,
      about: <p>{strings.orders.what.ack}</p>,
      reason: "none",
      run: () =>
        sending.send(strings.orders.names.ack, () => answered(guard.POST("/incidents/{id}/ack", at))),
    }),
    note: useOrder({
      ...common,
      title: strings.orders.names.note,
      action: strings.orders.names.note,
      about: <p>{strings.orders.what.note}</p>,
      words: { ...words, label: strings.orders.note, missing: strings.orders.noteMissing, rows: 5 },
      run: (text: string) =>
        sending.send(strings.orders.names.note, () =>
          answered(guard.POST("/incidents/{id}/note", { ...at, body: { text } })),
        ),
    }),
    hold: useOrder(ordered("hold")),
    resume: useOrder(ordered("resume")),
    abort: useOrder(ordered("abort", "danger")),
    close: useOrder({
      ...common,
      title: strings.orders.names.close,
      action: strings.orders.names.close,
      kind: "danger",
      about: (
        <>
          <p>{strings.orders.what.close}</p>
          {incident.state === "OPEN" && <p>{strings.orders.closeOpen}</p>}
        </>
      ),
      words,
      run: (reason: string) =>
        sending.send(strings.orders.names.close, () =>
          answered(guard.POST("/incidents/{id}/close", { ...at, body: { reason } })),
        ),
    }),
  };
  const dialogs: ReactNode = ORDERS.map((name) => <Fragment key={name}>{orders[name].dialog}</Fragment>);
  const ask = Object.fromEntries(ORDERS.map((name) => [name, orders[name].ask])) as Record<
    OrderName,
    () => void
  >;
  return { ask, dialogs };
}
