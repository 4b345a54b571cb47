import { CircleCheck, EyeOff, TriangleAlert } from "lucide-react";
import { count, duration, money } from "@/shared/format";
import { Badge, Card, Table } from "@/shared/layout";
import { Ago } from "@/shared/time";
import { overview } from "@/strings/overview";
import type { Schemas } from "../../api/client";
import styles from "./Overview.module.css";
import { family, provider, type Status, span, withStop } from "./words";

/** What the guard could not see at today's traffic, in one sentence. */
export function Detectable({ detectable }: { detectable: Schemas["Detectable"] | null }) {
  return (
    <Card className={styles.card}>
      <h2>{overview.detectable.heading}</h2>
      <p>{detectableSentence(detectable)}</p>
    </Card>
  );
}

export function detectableSentence(detectable: Schemas["Detectable"] | null): string {
  const say = overview.detectable;
  if (detectable === null || detectable.calls === 0) return say.none;
  const calls = count(detectable.calls);
  const length = span(detectable.span_s);
  if (detectable.percent === null) return say.every(calls, length);
  return say.some(
    `${Number(detectable.percent.toFixed(1))} %`,
    calls,
    length,
    `${Number((100 - detectable.slo_percent).toFixed(3))} %`,
  );
}

/** The guard names what it counted by a path, such as `success_rate/refusals/speak/modal/2`. */
function named(said: string): string {
  return said.replaceAll(/(\w+)\/(\w+)\S* would have/g, (_, trigger: string, check: string) =>
    overview.alarms.wouldHave(family(trigger), check.replaceAll("_", " ")),
  );
}

export function AlarmsCard({ alarms }: { alarms: Status["alarms"] }) {
  const standing = Object.entries(alarms);
  return (
    <Card className={styles.card}>
      <h2>{overview.alarms.heading}</h2>
      {standing.length === 0 ? (
        <p>{overview.alarms.none}</p>
      ) : (
        <ul className={styles.list}>
          {standing.map(([name, said]) => (
            <li key={name} className={styles.warning}>
              <TriangleAlert size={18} aria-hidden="true" />
              <span>
                <strong>{overview.alarms.names[name] ?? name.replaceAll("_", " ")}</strong>{" "}
                {withStop(named(said))}
              </span>
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}

export function SourcesCard({ sources }: { sources: Schemas["Sources"] | null }) {
  const say = overview.sources;
  return (
    <Card className={styles.card}>
      <h2>{say.heading}</h2>
      {sources === null ? (
        <p>{say.none}</p>
      ) : (
        <Table label={say.label}>
          <thead>
            <tr>
              <th scope="col">{say.source}</th>
              <th scope="col">{say.state}</th>
              <th scope="col">{say.read}</th>
            </tr>
          </thead>
          <tbody>
            {SOURCES.map((name) => (
              <tr key={name}>
                <th scope="row">{say.names[name]}</th>
                <td>
                  {sources[name].blind === null ? (
                    <Badge tone="pass">
                      <CircleCheck size={14} aria-hidden="true" />
                      {say.sees}
                    </Badge>
                  ) : (
                    <span className={styles.blind}>
                      <EyeOff size={16} aria-hidden="true" />
                      {sources[name].blind}
                    </span>
                  )}
                </td>
                <td>
                  <Ago at={sources[name].at} />
                </td>
              </tr>
            ))}
          </tbody>
        </Table>
      )}
    </Card>
  );
}

const SOURCES = ["calls", "playback", "cost", "integrity", "security"] as const;

interface ProbesProps {
  probes: Schemas["Probes"] | null;
  /** Who serves now: what a canary heard before a switch says nothing of today's part. */
  serving: string | null;
}

export function ProbesCard({ probes, serving }: ProbesProps) {
  const say = overview.probes;
  const heard = probes
    ? [...probes.active, ...probes.standby].toSorted((a, b) => Date.parse(b.at) - Date.parse(a.at))
    : [];
  return (
    <Card className={styles.card}>
      <h2>{say.heading}</h2>
      {probes?.paused && <p className={styles.warning}>{say.paused(withStop(probes.paused))}</p>}
      {probes === null || heard.length === 0 ? (
        <p>{say.none}</p>
      ) : (
        <>
          <Heard results={heard.filter((one) => one.provider === serving)} title={say.active} />
          <Heard results={heard.filter((one) => one.provider !== serving)} title={say.standby} />
          <p className={styles.soft}>{say.spent(money(probes.spent_microusd))}</p>
        </>
      )}
    </Card>
  );
}

type ProbeHeard = Schemas["ProbeHeard"];

function Heard({ results, title }: { results: readonly ProbeHeard[]; title: (name: string) => string }) {
  const say = overview.probes;
  const [newest] = results;
  if (newest === undefined) return null;
  const first = newest.first_audio_ms === null ? null : duration(newest.first_audio_ms);
  return (
    <div className={styles.heard}>
      <div className={styles.conditionHead}>
        <h3>{title(provider(newest.provider))}</h3>
        <Badge tone={newest.ok ? "pass" : "fail"}>
          {newest.ok ? (
            <CircleCheck size={14} aria-hidden="true" />
          ) : (
            <TriangleAlert size={14} aria-hidden="true" />
          )}
          {newest.ok ? say.heard : say.notHeard}
        </Badge>
      </div>
      <p className={styles.soft}>
        <Ago at={newest.at} />, {say.took(duration(newest.latency_ms), first)}.{" "}
        {!newest.ok && withStop(newest.detail)}
      </p>
      <p className={styles.soft}>
        {withStop(say.before(results.filter((one) => one.ok).length, results.length))}
      </p>
    </div>
  );
}

/** The guard itself: whether it leads, looks, and is heard. */
export function GuardCard({ status }: { status: Status }) {
  const say = overview.guard;
  const { guard, policy, outbox } = status;
  const waiting = outbox?.channels.reduce((sum, channel) => sum + channel.waiting, 0) ?? 0;
  const dead = outbox?.dead_letters.length ?? 0;
  const stands = guard.lease === null ? say.nobody : say.standsBy(guard.lease.holder);
  return (
    <Card className={styles.card}>
      <h2>{say.heading}</h2>
      <p className={guard.leads ? undefined : styles.warning}>{guard.leads ? say.leads : stands}</p>
      {guard.cycle_age_s !== null && (
        <p className={styles.soft}>
          {say.looks(duration(guard.cycle_age_s * 1000), duration(guard.cycle_ms))}
        </p>
      )}
      {policy && <p className={styles.soft}>{withStop(say.policy(policy.digest))}</p>}
      {policy?.changed && <p className={styles.warning}>{withStop(say.changed(policy.changed))}</p>}
      {waiting > 0 && <p className={styles.soft}>{say.outbox(waiting)}</p>}
      {dead > 0 && <p className={styles.warning}>{say.dead(dead)}</p>}
    </Card>
  );
}
