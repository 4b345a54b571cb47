import { Link } from "react-router";
import { Button, buttonClass } from "@/shared/controls";
import { Card } from "@/shared/layout";
import { MarkdownLine } from "@/shared/markdownView";
import { overview } from "@/strings/overview";
import { answered, guard } from "../../api/client";
import { keys } from "../../api/queries";
import { useOrder, useWhyNot } from "../../parts/order";
import { paths } from "../../paths";
import type { NextAction } from "./next_action";
import styles from "./Overview.module.css";
import { StepBack } from "./StepBack";
import { WhyNot } from "./WhyNot";

const say = overview.action;

/** The one thing that may be pressed. */
export function ActionCard({ action }: { action: NextAction }) {
  return (
    <Card className={styles.action}>
      <h2>{say.heading}</h2>
      <Choice action={action} />
    </Card>
  );
}

function Choice({ action }: { action: NextAction }) {
  switch (action.kind) {
    case "approve":
      return (
        <>
          <p>{action.why}</p>
          <Link className={buttonClass("primary")} to={paths.incident(action.incident)}>
            {say.approve}
          </Link>
          <WhyNot />
        </>
      );
    case "resume":
      return <Resume key={action.incident} incident={action.incident} why={action.why} />;
    case "return":
      return <Return why={action.why} />;
    case "step_back":
      return (
        <>
          <p>{action.why}</p>
          <StepBack to={action.to} urgent />
        </>
      );
    default:
      return (
        <>
          <p>
            <strong>{action.kind === "unknown" ? say.unknown : say.nothing}</strong>{" "}
            <MarkdownLine text={action.why} />
          </p>
          {action.incident && (
            <Link className={buttonClass()} to={paths.incident(action.incident)}>
              {say.open}
            </Link>
          )}
          {action.stepBackTo && <StepBack to={action.stepBackTo} />}
        </>
      );
  }
}

function Resume({ incident, why }: { incident: string; why: string }) {
  const whyNot = useWhyNot();
  const order = useOrder({
    title: say.resumeTitle,
    action: say.resume,
    about: <p>{say.resumeAbout}</p>,
    run: (reason) =>
      answered(
        guard.POST("/incidents/{id}/resume", { params: { path: { id: incident } }, body: { reason } }),
      ),
    touches: [keys.status, keys.incidents, keys.incident(incident), keys.audit],
    done: say.resumed,
  });
  return (
    <>
      <p>{why}</p>
      <div className={styles.buttons}>
        <Button kind="primary" onClick={order.ask} disabled={whyNot !== null}>
          {say.resume}
        </Button>
        <Link className={buttonClass()} to={paths.incident(incident)}>
          {say.open}
        </Link>
      </div>
      <WhyNot />
      {order.dialog}
    </>
  );
}

function Return({ why }: { why: string }) {
  const order = useOrder({
    title: say.returnTitle,
    action: say.return,
    kind: "danger",
    about: <p>{say.returnAbout}</p>,
    run: (reason) => answered(guard.POST("/cutover/return", { body: { reason, leave_behind: null } })),
    touches: [keys.status, keys.cutover, keys.charts, keys.audit],
    done: (answer) => (answer.returned ? say.returned : say.returnedNone),
  });
  return (
    <>
      <p>{why}</p>
      <div className={styles.buttons}>
        <Button kind="primary" onClick={order.ask}>
          {say.return}
        </Button>
        <Link className={buttonClass()} to={paths.cutover}>
          {say.openCutover}
        </Link>
      </div>
      {order.dialog}
    </>
  );
}
