import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "react-router";
import { Button } from "@/shared/controls";
import { Badge, Failure, Skeleton, Stack } from "@/shared/layout";
import { overview } from "@/strings/overview";
import { answered, guard } from "../../api/client";
import { keys } from "../../api/queries";
import { useOrder, useWhyNot } from "../../parts/order";
import { paths } from "../../paths";
import styles from "./Overview.module.css";
import { WhyNot } from "./WhyNot";
import { provider } from "./words";

const say = overview.action;

/** The switch back to the known-good provider by hand: its plan first, then reason and typed word. */
export function StepBack({ to, urgent = false }: { to: string; urgent?: boolean }) {
  const whyNot = useWhyNot();
  const navigate = useNavigate();
  const name = provider(to);
  const order = useOrder({
    title: say.stepBack(name),
    action: say.stepBack(name),
    kind: "danger",
    about: <PlanShown />,
    typed: to,
    run: (reason) =>
      answered(
        guard.POST("/restorations", { body: { action: "env_switch", reason, incident: null, backup: null } }),
      ),
    touches: [keys.status, keys.incidents, keys.audit],
    done: (answer) =>
      answer.already ? say.stepBackAlready(answer.incident) : say.stepBackAsked(answer.incident),
    onDone: (answer) => navigate(paths.incident(answer.incident)),
  });
  return (
    <>
      <div className={styles.buttons}>
        <Button
          kind={urgent ? "primary" : "plain"}
          small={!urgent}
          onClick={order.ask}
          disabled={whyNot !== null}
        >
          {urgent ? say.stepBack(name) : say.byHand(name)}
        </Button>
      </div>
      <WhyNot />
      {order.dialog}
    </>
  );
}

/** What the switch would do, as the guard says now. */
function PlanShown() {
  const { data, error, refetch } = useQuery({
    queryKey: ["restoration-plan", "env_switch"],
    queryFn: () => answered(guard.GET("/restorations/plan", { params: { query: { action: "env_switch" } } })),
    staleTime: 0,
    gcTime: 0,
  });
  return (
    <Stack>
      <p>{say.stepBackAbout}</p>
      {error && <Failure error={error} onRetry={() => void refetch()} />}
      {!data && !error && (
        <div role="status" aria-label={say.planLoading}>
          <Skeleton height="9rem" />
        </div>
      )}
      {data && (
        <div className={styles.plan}>
          <h3>{say.planSteps}</h3>
          <ol>
            {data.steps.map((step) => (
              <li key={step.step}>
                <span>{step.step.replaceAll("_", " ")}</span>
                <Badge tone={step.changes ? "warn" : "idle"}>{say.planStep(step.changes)}</Badge>
              </li>
            ))}
          </ol>
          <p>
            {say.planApprovals(data.approvals)}
            {data.plan_sha256 && ` ${say.planDigest(data.plan_sha256.slice(0, 12))}.`}
          </p>
        </div>
      )}
    </Stack>
  );
}
