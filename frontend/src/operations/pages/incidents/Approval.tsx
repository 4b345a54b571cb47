import { type FormEvent, useState } from "react";
import { Button, TextAreaField, TextField } from "@/shared/controls";
import { Hash } from "@/shared/copying";
import { Card, Failure } from "@/shared/layout";
import { Time } from "@/shared/time";
import { incidents as strings } from "@/strings/incidents";
import { answered, guard } from "../../api/client";
import { useMe } from "../../api/queries";
import styles from "./approval.module.css";
import { BreakGlass } from "./BreakGlass";
import { PlanSteps } from "./PlanSteps";
import {
  approvalObjection,
  breakGlassObjection,
  type IncidentDetail,
  isConfirmed,
  missing,
  PLAN_CHARS,
  type Plan,
  shortHash,
} from "./permitted";
import { wholeSeconds } from "./points";
import { useGuardNow, useTimeline } from "./queries";
import { SENT_ID } from "./SentStrip";
import type { Sending } from "./sending";
import { personOf, wordsOf } from "./story";

interface Props {
  incident: IncidentDetail;
  plan: Plan;
  sending: Sending;
  first: boolean;
  /** So many other plans wait as well. */
  others: number;
}

/** One plan in full, who agreed to it, and the way to agree. */
export function Approval({ incident, plan, sending, first, others }: Props) {
  const { data: me } = useMe();
  const now = useGuardNow();
  const words = wordsOf(plan.action, useTimeline(incident.id).data?.lines ?? []);
  const why = approvalObjection(plan, me ?? null, now);
  return (
    <Card className={styles.card}>
      <h2>{first ? strings.plan.decide(plan.title) : plan.title}</h2>
      <p className={styles.soft}>
        {strings.need.approveHelp} {others > 0 && first && strings.plan.alsoHelp(others)}
      </p>
      <Facts plan={plan} now={now} />
      <PlanSteps plan={plan} words={words} />
      <div className={styles.agree}>
        {why === null ? (
          <AgreeForm incident={incident} plan={plan} sending={sending} />
        ) : (
          <p className={styles.why}>{`${strings.plan.cannot} ${why}`}</p>
        )}
        {breakGlassObjection(plan, me ?? null, now) === null && (
          <BreakGlass incident={incident} plan={plan} sending={sending} />
        )}
      </div>
    </Card>
  );
}

function Facts({ plan, now }: { plan: Plan; now: Date }) {
  const left = Math.max(0, Date.parse(plan.expires_at) - now.getTime());
  const names = plan.approved_by.map(personOf).join(", ");
  return (
    <dl className={styles.facts}>
      <div>
        <dt>{strings.plan.hash}</dt>
        <dd>
          <Hash value={plan.plan_sha256} short={PLAN_CHARS} label={strings.plan.hashLabel} />
        </dd>
      </div>
      <div>
        <dt>{strings.plan.agreed}</dt>
        <dd>
          {`${strings.plan.agreedOf(plan.approved_by.length, plan.approvals)}: ${names || strings.plan.nobody}`}
          <span className={styles.soft}>{strings.plan.missing(missing(plan))}</span>
        </dd>
      </div>
      <div>
        <dt>{strings.plan.askedBy}</dt>
        <dd>{plan.requested_by === "guard" ? strings.plan.guard : personOf(plan.requested_by)}</dd>
      </div>
      <div>
        <dt>{strings.plan.expires}</dt>
        <dd>
          <Time at={plan.expires_at} style="time" />
          <span className={styles.soft}>{strings.plan.expiresIn(wholeSeconds(left))}</span>
        </dd>
      </div>
    </dl>
  );
}

function AgreeForm({ incident, plan, sending }: Pick<Props, "incident" | "plan" | "sending">) {
  const [word, setWord] = useState("");
  const [reason, setReason] = useState("");
  const [asked, setAsked] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const confirmed = isConfirmed(word, plan, incident.environment);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setAsked(true);
    if (!confirmed || busy) return;
    setBusy(true);
    setError(null);
    try {
      await sending.send(strings.orders.agree, () =>
        answered(
          guard.POST("/incidents/{id}/approve", {
            params: { path: { id: incident.id } },
            body: { plan: plan.plan_sha256, reason: reason.trim(), break_glass: false },
          }),
        ),
      );
      document.getElementById(SENT_ID)?.focus();
    } catch (problem) {
      setError(problem);
    } finally {
      setBusy(false);
    }
  };
  return (
    <form className={styles.form} onSubmit={(event) => void submit(event)}>
      <TextField
        label={strings.plan.confirm(shortHash(plan), incident.environment)}
        hint={strings.plan.confirmHint}
        error={asked && !confirmed ? strings.plan.notThat : null}
        value={word}
        autoComplete="off"
        autoCapitalize="off"
        spellCheck={false}
        onChange={(event) => setWord(event.target.value)}
      />
      <TextAreaField
        label={strings.plan.reason}
        side={strings.plan.optional}
        hint={strings.plan.reasonHint}
        rows={2}
        maxLength={4000}
        value={reason}
        onChange={(event) => setReason(event.target.value)}
      />
      {error !== null && <Failure error={error} />}
      <p className={styles.soft}>{strings.plan.replaced}</p>
      <div>
        <Button type="submit" kind="primary" busy={busy}>
          {strings.plan.agree}
        </Button>
      </div>
    </form>
  );
}
