import { Card, Stack } from "@/shared/layout";
import { cutover as strings } from "@/strings/cutover";
import { VerdictBadge } from "../../parts/badges";
import styles from "./comparisons.module.css";
import { type Comparison, compare, type Judgement, otherGuardrails, type Shown } from "./sides";

interface Props {
  judgement: Judgement;
  candidate: string;
  mode: string | null;
}

/** Control beside candidate: a bar to each side of every measure, with what the guardrail on it says. */
export function Comparisons({ judgement, candidate, mode }: Props) {
  const others = otherGuardrails(judgement);
  return (
    <Card>
      <Stack>
        <div>
          <h2>{strings.comparison}</h2>
          <p className={styles.about}>
            {judgement.control === null ? strings.comparisonAlone : strings.comparisonAbout(candidate, mode)}
          </p>
        </div>
        <div className={styles.heads} aria-hidden="true">
          <span />
          <span className={styles.left}>{strings.stayed}</span>
          <span>{strings.moved}</span>
          <span>{strings.verdict}</span>
        </div>
        <ul className={styles.list}>
          {compare(judgement).map((each) => (
            <Row key={each.measure} comparison={each} />
          ))}
        </ul>
        <div>
          <h3>{strings.triggers}</h3>
          {others.length === 0 ? (
            <p className={styles.about}>{strings.noTriggers}</p>
          ) : (
            <ul className={styles.others}>
              {others.map((rail) => (
                <li key={rail.name}>
                  <VerdictBadge verdict={rail.verdict} /> <strong>{rail.name}</strong> {rail.detail}
                </li>
              ))}
            </ul>
          )}
        </div>
      </Stack>
    </Card>
  );
}

function Row({ comparison }: { comparison: Comparison }) {
  const { measure, candidate, control, guardrail } = comparison;
  return (
    <li className={styles.row}>
      <h3 className={styles.measure}>{strings.measures[measure]}</h3>
      <dl className={styles.sides}>
        <Bar label={strings.stayed} shown={control} side="control" />
        <Bar label={strings.moved} shown={candidate} side="candidate" />
      </dl>
      <div className={styles.rail}>
        {guardrail === null ? (
          <span className={styles.noLimit}>{strings.noLimit}</span>
        ) : (
          <>
            <VerdictBadge verdict={guardrail.verdict} />
            <span>{guardrail.detail}</span>
          </>
        )}
      </div>
    </li>
  );
}

function Bar({ label, shown, side }: { label: string; shown: Shown | null; side: "control" | "candidate" }) {
  return (
    <div className={styles.side} data-side={side}>
      <dt>{label}</dt>
      <dd>
        <span className={styles.value}>{shown === null ? strings.nobodyStayed : shown.text}</span>
        <span className={styles.track} aria-hidden="true">
          <span className={styles.bar} style={{ inlineSize: `${(shown?.share ?? 0) * 100}%` }} />
        </span>
      </dd>
    </div>
  );
}
