import { Link as LinkIcon } from "lucide-react";
import { type ReactNode, useEffect } from "react";
import { Link, useLocation } from "react-router";
import { Hash } from "@/shared/copying";
import { Banner, Card, Failure, Loading, PageHeader, Stack } from "@/shared/layout";
import { MarkdownLine } from "@/shared/markdownView";
import { playbook as strings } from "@/strings/playbook";
import { useStatus } from "../../api/queries";
import { Closing, ForwardAgain } from "./Closing";
import { Families } from "./Families";
import { Ladder } from "./Ladder";
import styles from "./playbook.module.css";
import { limitsOf, type Policy, policyOf } from "./policy";
import { usePlaybook, usePlaybookPage, useSimulation } from "./queries";
import { Simulation } from "./Simulation";

type SectionName = keyof typeof strings.sections;
const SECTIONS = Object.keys(strings.sections) as SectionName[];

export default function Playbook() {
  const policy = usePlaybook();
  const page = usePlaybookPage();
  const simulation = useSimulation();
  const ready = policy.data !== undefined && !page.isPending;
  // What comes late moves what stands below it.
  useDeepLink(ready && !simulation.isPending);
  return (
    <>
      <PageHeader title={strings.title} about={strings.about} />
      {policy.isError && <Failure error={policy.error} onRetry={() => void policy.refetch()} />}
      {!ready && !policy.isError && <Loading rows={5} height="9rem" />}
      {ready && <Shown policy={policyOf(policy.data)} limits={limitsOf(page.data?.markdown ?? "")} />}
    </>
  );
}

function Shown({ policy, limits }: { policy: Policy; limits: Map<string, string> }) {
  return (
    <div className={styles.page}>
      <nav className={styles.contents} aria-label={strings.onThisPage}>
        <ul>
          {SECTIONS.map((name) => (
            <li key={name}>
              <Link to={`#${name}`} replace>
                {strings.sections[name]}
              </Link>
            </li>
          ))}
        </ul>
      </nav>
      <Stack>
        <InForce policy={policy} />
        <Section name="families">
          <Families families={policy.families} ladder={policy.ladder} limits={limits} />
        </Section>
        <Section name="ladder">
          <Ladder ladder={policy.ladder} />
        </Section>
        <Section name="checks">
          <Card>
            <p className={styles.soft}>{strings.checksAbout}</p>
            <ol className={styles.checklist}>
              {policy.checklist.map((sentence) => (
                <li key={sentence}>
                  <MarkdownLine text={sentence} />
                </li>
              ))}
            </ol>
          </Card>
        </Section>
        <Section name="closing">
          <Closing closing={policy.closing} />
        </Section>
        <Section name="cutover">
          <ForwardAgain cutover={policy.cutover} />
        </Section>
        <Section name="simulation">
          <Simulation />
        </Section>
      </Stack>
    </div>
  );
}

function InForce({ policy }: { policy: Policy }) {
  const inForce = useStatus().data?.policy ?? null;
  return (
    <Stack>
      {inForce?.changed && <Banner tone="warn">{strings.changed(inForce.changed)}</Banner>}
      <Card>
        <dl className={styles.facts}>
          <div>
            <dt>{strings.version}</dt>
            <dd>{policy.version}</dd>
          </div>
          <div>
            <dt>{strings.owner}</dt>
            <dd>{policy.owner}</dd>
          </div>
          {inForce && (
            <>
              <div>
                <dt>{strings.digest}</dt>
                <dd>
                  <Hash value={inForce.digest} label={strings.digestLabel} />
                </dd>
              </div>
              <div>
                <dt>{strings.file}</dt>
                <dd>
                  <code>{inForce.file}</code>
                </dd>
              </div>
            </>
          )}
        </dl>
      </Card>
    </Stack>
  );
}

function Section({ name, children }: { name: SectionName; children: ReactNode }) {
  const title = strings.sections[name];
  return (
    <section className={styles.section} aria-labelledby={name}>
      <h2 id={name} tabIndex={-1} className={styles.heading}>
        {title}
        <Link to={`#${name}`} replace aria-label={strings.linkTo(title)} className={styles.anchor}>
          <LinkIcon size={16} aria-hidden="true" />
        </Link>
      </h2>
      {children}
    </section>
  );
}

/** Goes to the section that the address names, once it is there: the page is made after the address was read. */
function useDeepLink(ready: boolean) {
  const { hash, key } = useLocation();
  // biome-ignore lint/correctness/useExhaustiveDependencies: the same link pressed again goes there again.
  useEffect(() => {
    if (!ready || hash.length < 2) return;
    const heading = document.getElementById(decodeURIComponent(hash.slice(1)));
    heading?.scrollIntoView();
    heading?.focus({ preventScroll: true });
  }, [ready, hash, key]);
}
