import { Snowflake } from "lucide-react";
import { Button } from "@/shared/controls";
import { Banner, Card, Row, Stack } from "@/shared/layout";
import { Ago, Time, useNow } from "@/shared/time";
import { cutover as strings } from "@/strings/cutover";
import { answered, guard } from "../../api/client";
import { keys } from "../../api/queries";
import { useOrder, useWhyNot } from "../../parts/order";
import { whoOf } from "../../parts/who";
import { usePlaybook } from "../playbook/queries";
import styles from "./cutover.module.css";
import { type CutoverStatus, moveLimitsOf, movesLeft } from "./stages";

/** How often tenants were moved away from known-good, and how often they still may be. */
export function Moves({ moves }: { moves: CutoverStatus["moves"] }) {
  const now = useNow();
  const playbook = usePlaybook();
  const limits = moveLimitsOf(playbook.data);
  const whyNot = useWhyNot();
  const thaw = useOrder({
    title: strings.thaw,
    action: strings.thaw,
    about: <p>{strings.thawAbout}</p>,
    run: (reason) => answered(guard.POST("/mode/thaw", { body: { reason } })),
    touches: [keys.cutover, keys.audit, keys.status],
    done: ({ thawed }) => strings.thawed(thawed),
  });
  const newest = [...moves.moves].reverse();
  return (
    <Card>
      <Stack>
        <div>
          <Row>
            <h2>{strings.moves}</h2>
            {limits && (
              <strong className={styles.count}>
                {strings.movesLeft(movesLeft(moves, limits, now), limits.moves, limits.period_s)}
              </strong>
            )}
          </Row>
          {limits && <p className={styles.soft}>{strings.movesSpacing(limits.spacing_s)}</p>}
        </div>
        {moves.frozen && (
          <Banner
            tone="blind"
            action={
              <Button small disabled={whyNot !== null} title={whyNot ?? undefined} onClick={thaw.ask}>
                {strings.thaw}
              </Button>
            }
          >
            <Snowflake size={16} aria-hidden="true" /> {strings.frozen(moves.frozen.why)} (
            <Ago at={moves.frozen.at} />)
          </Banner>
        )}
        {moves.next_at && !moves.frozen && (
          <p>
            {strings.nextMove} <Time at={moves.next_at} style="time" />
          </p>
        )}
        {newest.length === 0 ? (
          <p className={styles.soft}>{strings.noMoves}</p>
        ) : (
          <ul className={styles.lines}>
            {newest.slice(0, 6).map((move) => (
              <li key={move.at} data-forgiven={move.forgiven || undefined}>
                <Time at={move.at} />
                <span>
                  {move.what}, {whoOf(move.actor)}
                  {move.forgiven && <span className={styles.soft}> ({strings.forgiven})</span>}
                </span>
              </li>
            ))}
          </ul>
        )}
        {moves.thaws.length > 0 && (
          <details className={styles.fold}>
            <summary>{strings.thaws}</summary>
            <ul className={styles.lines}>
              {[...moves.thaws].reverse().map((one) => (
                <li key={one.at}>
                  <Time at={one.at} />
                  <span>
                    {whoOf(one.actor)}: {one.reason}
                  </span>
                </li>
              ))}
            </ul>
          </details>
        )}
        {thaw.dialog}
      </Stack>
    </Card>
  );
}
