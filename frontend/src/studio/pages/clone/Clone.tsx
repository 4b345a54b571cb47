import { Trash2 } from "lucide-react";
import { type FormEvent, Suspense, useDeferredValue, useEffect, useMemo, useRef, useState } from "react";
import { Button } from "@/shared/controls";
import { money } from "@/shared/format";
import { useFocusInvalid } from "@/shared/invalid";
import { Banner, Card, PageHeader, Skeleton, Stack } from "@/shared/layout";
import { lazyPart } from "@/shared/lazyPart";
import { clone as words } from "@/strings/clone";
import { useConfig, useLanguages } from "../../api/queries";
import { useDraft } from "../../session/drafts";
import { useUserId } from "../../session/session";
import { Checks } from "./Checks";
import styles from "./Clone.module.css";
import { checksOf, sendable } from "./checks";
import { asksForConsent, EMPTY, problemsOf } from "./fields";
import { measure } from "./measuring";
import { Progress } from "./Progress";
import { Ready } from "./Ready";
import { RecorderPanel } from "./RecorderPanel";
import { bytesToSend, samplesOf } from "./recording";
import { useMaking } from "./useMaking";
import { useRecording } from "./useRecording";
import { VoiceFields } from "./VoiceFields";
import { RATE } from "./wav";

const Waveform = lazyPart(() => import("./Waveform"));
/** Until the service has said what it takes. */
const MOST_BYTES = 10 * 1024 * 1024;

export default function Clone() {
  const [fields, change, forgetFields] = useDraft("clone", EMPTY);
  const held = useRecording(useUserId() ?? "nobody");
  const making = useMaking(held, forgetFields);
  const { data: config } = useConfig();
  const { data: languages } = useLanguages();
  const [attempts, setAttempts] = useState(0);
  const [consentRequired, setConsentRequired] = useState(false);
  const form = useRef<HTMLFormElement>(null);
  useFocusInvalid(form, attempts);

  const mostBytes = config?.limits.clone_bytes ?? MOST_BYTES;
  const checks = useChecks(held, fields.transcript, mostBytes);
  const problems = attempts > 0 ? problemsOf(fields, consentRequired) : {};
  const working = making.stage !== null;
  const refusedForConsent = asksForConsent(making.problem);
  useEffect(() => {
    if (!refusedForConsent) return;
    setConsentRequired(true);
    setAttempts((before) => before + 1);
  }, [refusedForConsent]);

  const foot = useRef<HTMLDivElement>(null);
  const { problem } = making;
  useEffect(() => {
    // The button is there again, and takes up where it was pressed.
    if (problem !== null && !refusedForConsent) {
      foot.current?.querySelector<HTMLElement>('button[type="submit"]')?.focus();
    }
  }, [problem, refusedForConsent]);
  const panel = useRef<HTMLDivElement>(null);
  const remove = () => {
    held.forget();
    panel.current?.querySelector("button")?.focus();
  };

  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (working) return;
    const wrong = problemsOf(fields, consentRequired);
    if (Object.keys(wrong).length > 0) {
      setAttempts(attempts + 1);
      return;
    }
    if (held.recording === null) {
      held.complain(words.problems.recording);
      return;
    }
    if (!sendable(checks)) return;
    const draft = {
      name: fields.name.trim(),
      language: fields.language,
      transcript: fields.transcript.trim(),
      description: fields.description.trim() || null,
    };
    const consent = fields.consent
      ? { statement: words.consentStatement, name: fields.consentName.trim() }
      : null;
    void making.start(draft, consent, mostBytes);
  };

  const another = () => {
    making.clear();
    setAttempts(0);
  };

  if (making.made !== null) {
    return (
      <>
        <PageHeader title={words.title} />
        <Ready made={making.made} onAnother={another} />
      </>
    );
  }

  const price = config?.prices.clone_create_microusd[languages?.provider ?? ""];
  return (
    <>
      <PageHeader title={words.title} about={words.about} />
      <form ref={form} noValidate onSubmit={submit} className={styles.form}>
        <Card className={styles.recording}>
          <Stack>
            <h2>{words.recording}</h2>
            <div ref={panel}>
              <RecorderPanel
                transcript={fields.transcript}
                has={held.recording !== null}
                disabled={working || held.reading}
                onTake={(file, name) => void held.take(file, name)}
                onProblem={held.complain}
              />
            </div>
            {held.problem && (
              <Banner tone="fail" urgent>
                {held.problem}
              </Banner>
            )}
            {held.reading && <Skeleton height="12rem" />}
            {held.recording !== null && !held.reading && (
              <>
                <div className={styles.file}>
                  <strong>{held.recording.name}</strong>
                  {held.restored && <span className={styles.quiet}>{words.restored}</span>}
                  <Button small kind="quiet" disabled={working} onClick={remove}>
                    <Trash2 size={14} aria-hidden="true" />
                    {words.remove}
                  </Button>
                </div>
                <Suspense fallback={<Skeleton height="12rem" />}>
                  <Waveform
                    recording={held.recording}
                    part={held.part}
                    onPart={held.choose}
                    disabled={working}
                  />
                </Suspense>
                <Checks checks={checks} />
              </>
            )}
          </Stack>
        </Card>
        <Card>
          <Stack>
            <h2>{words.voice}</h2>
            <VoiceFields
              fields={fields}
              languages={languages?.languages ?? [EMPTY.language]}
              problems={problems}
              disabled={working}
              change={change}
            />
          </Stack>
        </Card>
        <div ref={foot} className={styles.foot}>
          {languages?.capabilities.supports_clone === false && (
            <Banner tone="warn">{words.unsupported}</Banner>
          )}
          {making.problem && !refusedForConsent && (
            <Banner tone={making.problem === words.cancelled ? "info" : "fail"} urgent>
              {making.problem}
            </Banner>
          )}
          {making.stage ? (
            <Progress stage={making.stage} onCancel={making.cancel} />
          ) : (
            <div className={styles.make}>
              <Button type="submit" kind="primary" disabled={held.recording !== null && !sendable(checks)}>
                {making.problem && !refusedForConsent ? words.tryAgain : words.make}
              </Button>
              {price !== undefined && (
                <span className={styles.quiet}>{price === 0 ? words.free : words.price(money(price))}</span>
              )}
            </div>
          )}
        </div>
      </form>
    </>
  );
}

function useChecks(held: ReturnType<typeof useRecording>, transcript: string, mostBytes: number) {
  const { recording, part } = held;
  const measured = useMemo(
    () => (recording === null ? null : measure(samplesOf(recording, part), RATE)),
    [recording, part],
  );
  const written = useDeferredValue(transcript);
  return useMemo(
    () =>
      recording === null || measured === null
        ? []
        : checksOf({
            measured,
            size: bytesToSend(recording, part, mostBytes),
            mostBytes,
            transcript: written,
          }),
    [recording, part, measured, mostBytes, written],
  );
}
