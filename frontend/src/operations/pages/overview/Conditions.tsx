import { Badge, Card } from "@/shared/layout";
import { overview } from "@/strings/overview";
import { VerdictBadge } from "../../parts/badges";
import styles from "./Overview.module.css";
import { asSentence, family, type Status } from "./words";

const say = overview.judged;

/** Each condition of the playbook with its verdict, the reason, and its checks. */
export function Conditions({ status }: { status: Status }) {
  return (
    <section className={styles.card} aria-labelledby="conditions">
      <h2 id="conditions">{say.heading}</h2>
      <ul className={styles.conditions}>
        {status.families.map((one) => (
          <li key={one.trigger}>
            <Card className={styles.condition}>
              <div className={styles.conditionHead}>
                <h3>{family(one.trigger)}</h3>
                <VerdictBadge verdict={one.verdict} />
              </div>
              {one.sentence && <p className={styles.soft}>{one.sentence}</p>}
              <p>{asSentence(one.detail)}</p>
              {one.checks.length > 0 && (
                <details className={styles.checks}>
                  <summary>{say.checks(one.checks.length)}</summary>
                  <ul>
                    {one.checks.map((check) => (
                      <li key={`${check.check} ${check.subject}`}>
                        <div className={styles.conditionHead}>
                          <strong>
                            {check.check.replaceAll("_", " ")}
                            {check.subject && <span className={styles.soft}> {check.subject}</span>}
                          </strong>
                          <VerdictBadge verdict={check.verdict} />
                        </div>
                        <p className={styles.soft}>{asSentence(check.detail)}</p>
                        <Notes status={status} name={`${one.trigger}.${check.check}`} acts={check.mode} />
                      </li>
                    ))}
                  </ul>
                </details>
              )}
            </Card>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Notes({ status, name, acts }: { status: Status; name: string; acts: string }) {
  const would = status.would_have_fired[name] ?? 0;
  return (
    <p className={styles.notes}>
      <Badge>{say.modes[acts] ?? acts}</Badge>
      {would > 0 && <Badge tone="warn">{say.wouldHave(would)}</Badge>}
      {status.disarmed.includes(name) && <Badge tone="warn">{say.disarmed}</Badge>}
    </p>
  );
}
