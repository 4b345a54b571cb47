import {
  CircleCheck,
  CirclePause,
  CirclePlay,
  CircleSlash,
  Flag,
  type LucideIcon,
  Undo2,
} from "lucide-react";
import { Link, useNavigate } from "react-router";
import { Button } from "@/shared/controls";
import { Hash } from "@/shared/copying";
import { Evidence } from "@/shared/evidenceView";
import { Badge, Banner, Card, Row, Stack, type Tone } from "@/shared/layout";
import { Ago, Time } from "@/shared/time";
import { cutover as strings } from "@/strings/cutover";
import { answered, guard } from "../../api/client";
import { keys } from "../../api/queries";
import { useOrder, useWhyNot } from "../../parts/order";
import { whoOf } from "../../parts/who";
import { paths } from "../../paths";
import styles from "./cutover.module.css";
import { type Cutover, type CutoverStatus, isOn } from "./stages";

const LOOKS: Record<Cutover["state"], { tone: Tone; icon: LucideIcon }> = {
  running: { tone: "info", icon: CirclePlay },
  paused: { tone: "warn", icon: CirclePause },
  finishing: { tone: "info", icon: Flag },
  complete: { tone: "pass", icon: CircleCheck },
  returned: { tone: "warn", icon: Undo2 },
  superseded: { tone: "idle", icon: CircleSlash },
};

interface Props {
  status: CutoverStatus;
  knownGood: string | null;
}

/** What is in force, since when, and who said so. */
export function Standing({ status, knownGood }: Props) {
  const { cutover, mode } = status;
  if (cutover === null) return null;
  const { tone, icon: Icon } = LOOKS[cutover.state];
  const on = isOn(cutover);
  return (
    <Card>
      <Stack>
        <div className={styles.headline}>
          <h2>{headline(cutover, mode?.value ?? null)}</h2>
          <Row>
            <Badge tone={tone}>
              <Icon size={14} aria-hidden="true" />
              {strings.states[cutover.state]}
            </Badge>
            <span className={styles.soft}>{strings.stageOf(cutover.stage + 1, status.stages.length)}</span>
          </Row>
        </div>
        {on && cutover.state !== "finishing" && !status.in_force && (
          <Banner tone="warn">{strings.notInForce}</Banner>
        )}
        <dl className={styles.facts}>
          <div>
            <dt>{on ? strings.facts.since : strings.facts.stood}</dt>
            <dd>
              <Time at={cutover.stage_started_at} /> (<Ago at={cutover.stage_started_at} />)
            </dd>
          </div>
          <div>
            <dt>{strings.facts.by}</dt>
            <dd>
              {whoOf(cutover.actor)}, <Ago at={cutover.changed_at} />: {cutover.reason}
            </dd>
          </div>
          <div>
            <dt>{strings.facts.owner}</dt>
            <dd>{cutover.owner}</dd>
          </div>
          {(cutover.state === "running" || cutover.state === "paused") && (
            <div title={strings.facts.watchedNote}>
              <dt>{strings.facts.watched}</dt>
              <dd>{cutover.watch_left_s > 0 ? strings.minutes(cutover.watch_left_s) : strings.lapsed}</dd>
            </div>
          )}
          <div>
            <dt>{strings.facts.plan}</dt>
            <dd>
              <Hash value={cutover.plan_sha256} short={12} label={strings.facts.planHash} />
            </dd>
          </div>
          {cutover.incident && (
            <div>
              <dt>{strings.facts.incident}</dt>
              <dd>
                <Link to={paths.incident(cutover.incident)}>{cutover.incident}</Link>
              </dd>
            </div>
          )}
        </dl>
        {status.stabilization && (
          <p className={styles.soft}>
            {strings.stabilizationAbout(status.stabilization.candidate)} <Time at={status.stabilization.at} />
            {". "}
            {strings.stabilizationCounted}
          </p>
        )}
        {cutover.state === "complete" && knownGood && mode?.value === cutover.candidate && (
          <GoBack knownGood={knownGood} />
        )}
        <details className={styles.fold}>
          <summary>{strings.planDetails}</summary>
          <Evidence document={cutover.plan} whole />
        </details>
      </Stack>
    </Card>
  );
}

function headline(cutover: Cutover, mode: string | null): string {
  const { headline: said } = strings;
  switch (cutover.state) {
    case "running":
      return said.running(cutover.percent, cutover.candidate);
    case "paused":
      return said.paused(cutover.percent, cutover.candidate);
    case "finishing":
      return said.finishing(cutover.candidate);
    case "complete":
      // The guard, or a person, may have switched back since: the cutover stays complete.
      return mode === null || mode === cutover.candidate
        ? said.complete(cutover.candidate)
        : said.returned(mode);
    case "returned":
      return said.returned(mode);
    case "superseded":
      return said.superseded;
  }
}

/** After the last stage there is no cutover to end: the guard steps back as it does in an incident. */
function GoBack({ knownGood }: { knownGood: string }) {
  const whyNot = useWhyNot();
  const navigate = useNavigate();
  const order = useOrder({
    title: strings.orders.returnTitle,
    action: strings.goBack,
    kind: "danger",
    about: <p>{strings.goBackAbout(knownGood)}</p>,
    run: (reason) =>
      answered(
        guard.POST("/restorations", { body: { action: "env_switch", reason, incident: null, backup: null } }),
      ),
    touches: [keys.status, keys.incidents, keys.cutover],
    done: strings.goBackDone,
    onDone: ({ incident }) => void navigate(paths.incident(incident)),
  });
  return (
    <div>
      <Button kind="danger" disabled={whyNot !== null} title={whyNot ?? undefined} onClick={order.ask}>
        <Undo2 size={16} aria-hidden="true" />
        {strings.goBack}
      </Button>
      {order.dialog}
    </div>
  );
}
