import { Eye, Hand, type LucideIcon, Zap } from "lucide-react";
import { Link } from "react-router";
import { Evidence } from "@/shared/evidenceView";
import { Badge, Card, Row, Stack, type Tone } from "@/shared/layout";
import { playbook as strings } from "@/strings/playbook";
import { useStatus } from "../../api/queries";
import { useFreshness } from "../../live/live";
import { VerdictBadge } from "../../parts/badges";
import styles from "./playbook.module.css";
import type { ActsAs, Check, Family, Rung } from "./policy";

const MODES: Record<ActsAs, { tone: Tone; icon: LucideIcon }> = {
  auto: { tone: "info", icon: Zap },
  pause: { tone: "warn", icon: Hand },
  shadow: { tone: "idle", icon: Eye },
};

interface Props {
  families: readonly Family[];
  ladder: readonly Rung[];
  limits: Map<string, string>;
}

/** The six conditions, each in the playbook's own words, with the checks that watch it. */
export function Families({ families, ladder, limits }: Props) {
  return (
    <Stack>
      <ul className={styles.modes} aria-label={strings.modesLabel}>
        {(["auto", "pause", "shadow"] as const).map((mode) => (
          <li key={mode}>
            <Mode mode={mode} /> {strings.modeAbout[mode]}
          </li>
        ))}
      </ul>
      {families.map((family, at) => (
        <FamilyOf key={family.trigger} family={family} number={at + 1} ladder={ladder} limits={limits} />
      ))}
    </Stack>
  );
}

function FamilyOf({
  family,
  number,
  ladder,
  limits,
}: Omit<Props, "families"> & { family: Family; number: number }) {
  const { data } = useStatus();
  const { fresh } = useFreshness();
  const now = data?.families.find((one) => one.trigger === family.trigger);
  const name = strings.families[family.trigger] ?? family.trigger;
  return (
    <Card>
      <div className={styles.familyHead}>
        <h3 id={family.trigger} tabIndex={-1}>
          <Link to={`#${family.trigger}`} replace className={styles.plainLink}>
            {number}. {name}
          </Link>
        </h3>
        {fresh && now && (
          <Row>
            <span className={styles.soft}>{strings.now}</span>
            <VerdictBadge verdict={now.verdict} />
          </Row>
        )}
      </div>
      <blockquote className={styles.sentence}>{family.sentence}</blockquote>
      {family.checks.length === 0 && <p className={styles.soft}>{strings.noCheck}</p>}
      <ul className={styles.checks}>
        {family.checks.map((check) => (
          <CheckOf
            key={check.name}
            check={check}
            ladder={ladder}
            sentence={limits.get(`${family.trigger}/${check.name}`) ?? strings.noSentence}
          />
        ))}
      </ul>
    </Card>
  );
}

function CheckOf({ check, ladder, sentence }: { check: Check; ladder: readonly Rung[]; sentence: string }) {
  return (
    <li className={styles.check}>
      <div className={styles.checkHead}>
        <h4>{check.name.replaceAll("_", " ")}</h4>
        <Mode mode={check.mode} />
      </div>
      <p>{sentence.charAt(0).toUpperCase() + sentence.slice(1)}</p>
      <div className={styles.cures}>
        <span className={styles.soft}>{strings.columns.cures}</span>
        <ol>
          {check.cures.map((cure) => (
            <li key={cure}>
              <Link to={`#${cure}`} replace>
                {ladder.find((rung) => rung.action === cure)?.title ?? cure}
              </Link>{" "}
              <span className={styles.rungOf}>({rungOf(cure, ladder)})</span>
            </li>
          ))}
        </ol>
      </div>
      <details className={styles.fold}>
        <summary>{strings.numbers}</summary>
        <Evidence document={check.numbers} />
      </details>
    </li>
  );
}

function rungOf(cure: string, ladder: readonly Rung[]): string {
  const rung = ladder.find((one) => one.action === cure);
  return rung ? strings.cureRung(rung.rung) : strings.byHandOnly;
}

function Mode({ mode }: { mode: ActsAs }) {
  const { tone, icon: Icon } = MODES[mode];
  return (
    <Badge tone={tone} title={strings.modeAbout[mode]}>
      <Icon size={14} aria-hidden="true" />
      {strings.modes[mode]}
    </Badge>
  );
}
