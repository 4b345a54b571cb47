import { CircleCheck, CircleDashed, CircleX } from "lucide-react";
import { Button } from "@/shared/controls";
import { Badge, Banner, Stack } from "@/shared/layout";
import { Ago } from "@/shared/time";
import { drills as strings } from "@/strings/drills";
import { answered, guard, type Schemas } from "../../api/client";
import { keys } from "../../api/queries";
import { useOrder } from "../../parts/order";
import styles from "./drills.module.css";
import { recordOf } from "./results";

interface Props {
  drills: Schemas["Drills"];
  running: boolean;
}

/** Everything that can be drilled, with what practice has shown of it. */
export function Scenarios({ drills, running }: Props) {
  // While one runs its progress stands above: no need to say it again.
  const whyNot = drills.may_run && !running ? null : (drills.why_not ?? "");
  return (
    <section className={styles.section}>
      <h2>{strings.scenarios}</h2>
      {whyNot && !running && <Banner tone="warn">{whyNot}</Banner>}
      <ul className={styles.scenarios}>
        {drills.scenarios.map((scenario) => (
          <ScenarioOf key={scenario.scenario} scenario={scenario} history={drills.history} whyNot={whyNot} />
        ))}
      </ul>
    </section>
  );
}

interface ScenarioProps {
  scenario: Schemas["Scenario"];
  history: Schemas["Drills"]["history"];
  whyNot: string | null;
}

function ScenarioOf({ scenario, history, whyNot }: ScenarioProps) {
  const record = recordOf(history, scenario.scenario);
  const order = useOrder({
    title: strings.runTitle(scenario.title),
    action: strings.runAction,
    about: (
      <Stack>
        <h3>{strings.happens}</h3>
        <ol className={styles.happens}>
          {strings.steps.map((step) => (
            <li key={step}>{step}</li>
          ))}
        </ol>
        <p>{strings.lasts}</p>
      </Stack>
    ),
    reason: "optional",
    run: (reason) =>
      answered(
        guard.POST("/drills", {
          body: { scenario: scenario.scenario, reason: reason || null },
        }),
      ),
    touches: [keys.jobs, keys.drills, keys.audit],
    done: strings.started,
    onDone: () => window.scrollTo({ top: 0 }),
  });
  const { newest } = record;
  const Icon = newest === null ? CircleDashed : newest.passed ? CircleCheck : CircleX;
  return (
    <li className={styles.scenario}>
      <div className={styles.scenarioHead}>
        <h3>{scenario.title}</h3>
        <code className={styles.soft}>{scenario.scenario}</code>
      </div>
      <p className={styles.soft}>
        {strings.cures}: {scenario.cures.map(strings.cure).join(", ")}
      </p>
      <div className={styles.scenarioFoot}>
        <div>
          <Badge tone={newest === null ? "idle" : newest.passed ? "pass" : "fail"}>
            <Icon size={14} aria-hidden="true" />
            {newest === null ? strings.never : strings.passedOf(record.passed, record.runs)}
          </Badge>
          {newest && (
            <p className={styles.soft}>
              {strings.newest} <Ago at={newest.at} />
              {record.best !== null && record.worst !== null && (
                <>, {strings.spread(strings.seconds(record.best), strings.seconds(record.worst))}</>
              )}
            </p>
          )}
        </div>
        <Button
          small
          disabled={whyNot !== null}
          title={whyNot || undefined}
          aria-label={strings.runNamed(scenario.title)}
          onClick={order.ask}
        >
          {strings.run}
        </Button>
      </div>
      {order.dialog}
    </li>
  );
}
