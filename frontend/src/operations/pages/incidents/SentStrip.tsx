import { useEffect, useState } from "react";
import { Banner } from "@/shared/layout";
import { incidents as strings } from "@/strings/incidents";
import type { IncidentDetail } from "./permitted";
import { hasArrived, type Sent } from "./sending";

/** Where the focus goes when what had it is gone. */
export const SENT_ID = "sent";
const SHOWN_MS = 15_000;

/** What became of the order that was sent last. It is done when the journal says so, and not before. */
export function SentStrip({ incident, sent }: { incident: IncidentDetail; sent: Sent | null }) {
  const arrived = sent !== null && hasArrived(sent, incident, incident.journal);
  const [past, setPast] = useState<Sent | null>(null);
  useEffect(() => {
    if (!arrived) return undefined;
    const timer = setTimeout(() => setPast(sent), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [arrived, sent]);
  return (
    <div aria-live="polite" id={SENT_ID} tabIndex={-1}>
      {sent && sent !== past && <Banner {...told(sent, arrived, incident)} />}
    </div>
  );
}

function told(sent: Sent, arrived: boolean, incident: IncidentDetail) {
  if (sent.unknown) return { tone: "warn", children: strings.orders.unknown(sent.label) } as const;
  if (!arrived) return { tone: "info", children: strings.orders.sent(sent.label) } as const;
  const seq = sent.seq ?? incident.journal.at(-1)?.seq ?? 0;
  return { tone: "pass", children: strings.orders.there(sent.label, seq) } as const;
}
