import { useEffect, useRef, useState } from "react";
import { Link, useLocation, useNavigate } from "react-router";
import { Button, buttonClass, Counter, SelectField, TextAreaField } from "@/shared/controls";
import { count } from "@/shared/format";
import { Banner, Card, Empty, Failure, PageHeader, Row, Skeleton, Stack } from "@/shared/layout";
import { sentenceOf } from "@/shared/problems";
import { useNow } from "@/shared/time";
import { useTell } from "@/shared/toasts";
import { common } from "@/strings/common";
import { generate as words } from "@/strings/generate";
import { answered, api, type Schemas } from "../../api/client";
import { useLanguages } from "../../api/queries";
import { paths } from "../../paths";
import { useDraft } from "../../session/drafts";
import { isUnderWay } from "../../speaking/run";
import { useSpeeches } from "../../speaking/speaking";
import styles from "./Generate.module.css";
import { Now } from "./Now";
import { prefillOf } from "./prefill";
import { useVoice, useVoices } from "./queries";
import { RunCard } from "./RunCard";
import { hindranceOf, overBy, secondsUntil, wholeSeconds } from "./readiness";
import { VoicePicker } from "./VoicePicker";

interface Draft {
  voiceId: string;
  voiceName: string;
  text: string;
  language: string;
}

const NOTHING: Draft = { voiceId: "", voiceName: "", text: "", language: "Auto" };
const LONG_MS = 12_000;

export default function Generate() {
  const [draft, change] = useDraft("generate", NOTHING);
  usePrefill(draft, change);
  const voices = useVoices("");
  useFirstVoice(draft, change, voices.data?.voices);
  if (voices.isError && !voices.data) {
    return (
      <Page>
        <Failure error={voices.error} onRetry={() => void voices.refetch()} />
      </Page>
    );
  }
  if (!voices.data) {
    return (
      <Page>
        <Card>
          <Stack>
            <Skeleton height="4.5rem" />
            <Skeleton height="12rem" />
            <Skeleton height="2.5rem" width="8rem" />
          </Stack>
        </Card>
      </Page>
    );
  }
  return (
    <Page>
      <Stack>
        {voices.data.pagination.total === 0 ? <NoVoice /> : <Form draft={draft} change={change} />}
        <RunCard />
        <Now />
      </Stack>
    </Page>
  );
}

function Page({ children }: { children: React.ReactNode }) {
  return (
    <>
      <PageHeader title={words.title} about={words.about} />
      {children}
    </>
  );
}

function NoVoice() {
  return (
    <Empty
      title={words.noVoice}
      action={
        <Row>
          <Link className={buttonClass("primary")} to={paths.clone}>
            {words.cloneVoice}
          </Link>
          <Link className={buttonClass()} to={paths.design}>
            {words.designVoice}
          </Link>
        </Row>
      }
    >
      {words.noVoiceHelp}
    </Empty>
  );
}

/** Takes what the address asks for into the form, once; what was in it can be brought back. */
function usePrefill(draft: Draft, change: (some: Partial<Draft>) => void): void {
  const { pathname, search, state } = useLocation();
  const navigate = useNavigate();
  const tell = useTell();
  const latest = useRef(draft);
  latest.current = draft;
  useEffect(() => {
    const asked = prefillOf(search, state);
    if (!asked) return;
    const fill = (text: string | null) => {
      const before = latest.current;
      change({
        ...(asked.voiceId && asked.voiceId !== before.voiceId
          ? { voiceId: asked.voiceId, voiceName: "" }
          : {}),
        ...(asked.language ? { language: asked.language } : {}),
        ...(text === null ? {} : { text }),
      });
      if (text !== null && before.text.trim() !== "" && before.text !== text) {
        const bringBack = { label: words.bringBack, run: () => change({ text: before.text }) };
        tell({ text: words.replaced, action: bringBack, lastsMs: LONG_MS });
      }
    };
    void navigate(pathname, { replace: true });
    if (asked.text !== null || asked.generationId === null) {
      fill(asked.text);
      return;
    }
    const params = { path: { id: asked.generationId } };
    answered(api.POST("/api/generations/{id}/regenerate", { params })).then(
      (answer) => fill(answer.text),
      (error: unknown) => {
        fill(null);
        tell(sentenceOf(error, common.failed));
      },
    );
  }, [pathname, search, state, change, navigate, tell]);
}

/** Chooses the newest voice that can be spoken where none was ever chosen: most people have one or two. */
function useFirstVoice(
  draft: Draft,
  change: (some: Partial<Draft>) => void,
  voices: readonly Schemas["Voice"][] | undefined,
): void {
  const { search, state } = useLocation();
  const asked = prefillOf(search, state) !== null;
  const first = draft.voiceId === "" && !asked ? voices?.find(({ speakable }) => speakable) : undefined;
  useEffect(() => {
    if (first) change({ voiceId: first.id, voiceName: first.name });
  }, [first, change]);
}

function Form({ draft, change }: { draft: Draft; change: (some: Partial<Draft>) => void }) {
  const { speeches, run } = useSpeeches();
  const languages = useLanguages();
  const voice = useVoice(draft.voiceId);
  const now = useNow().getTime();
  const tell = useTell();
  const form = useRef<HTMLFormElement>(null);
  const [pressed, setPressed] = useState(false);

  const limit = languages.data?.capabilities.max_text_chars ?? null;
  const over = overBy(draft.text, limit);
  const underWay = isUnderWay(run);
  const waitS = secondsUntil(run?.problem?.retryAt ?? null, now);
  const hindrance = hindranceOf({
    text: draft.text,
    limit,
    voice: standingOf(draft.voiceId, voice),
    underWay,
    waitS,
  });
  const known = languages.data?.languages ?? [draft.language];

  const speak = () => {
    setPressed(true);
    if (hindrance !== null || !voice) return;
    const streaming = languages.data?.capabilities.supports_generate_stream ?? false;
    const language = known.includes(draft.language) ? draft.language : NOTHING.language;
    void speeches.speak({ voiceId: voice.id, text: draft.text, language }, voice.name, streaming);
  };
  const cancel = () => {
    speeches.cancel().catch((error: unknown) => tell(sentenceOf(error, common.failed)));
    // The button that was pressed is gone in a moment; the focus stays where the next step is.
    form.current?.querySelector<HTMLButtonElement>('button[type="submit"]')?.focus();
  };
  const choose = ({ id, name }: Schemas["Voice"]) => change({ voiceId: id, voiceName: name });
  const gone = draft.voiceId !== "" && voice === null;

  return (
    <Card>
      <form
        ref={form}
        onSubmit={(event) => {
          event.preventDefault();
          speak();
        }}
        onKeyDown={(event) => {
          if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
          event.preventDefault();
          speak();
        }}
      >
        <Stack>
          <div className={styles.choices}>
            <VoicePicker
              voiceId={draft.voiceId}
              voiceName={voice?.name ?? draft.voiceName}
              error={gone ? words.voiceGone : pressed && draft.voiceId === "" ? words.needVoice : null}
              onChoose={choose}
            />
            <SelectField
              label={words.language}
              hint={words.languageHint}
              value={known.includes(draft.language) ? draft.language : NOTHING.language}
              onChange={(event) => change({ language: event.target.value })}
            >
              {known.map((language) => (
                <option key={language}>{language}</option>
              ))}
            </SelectField>
          </div>
          {voice?.guidance && <Guidance sentence={voice.guidance} />}
          <TextAreaField
            label={words.text}
            placeholder={words.textPlaceholder}
            rows={7}
            value={draft.text}
            side={limit !== null && <Counter text={draft.text} limit={limit} />}
            error={
              over > 0 && limit !== null
                ? words.tooLong(count(over), count(limit))
                : pressed && hindrance === "no_text"
                  ? words.needText
                  : null
            }
            onChange={(event) => change({ text: event.target.value })}
          />
          <Row>
            <Button
              type="submit"
              kind="primary"
              busy={underWay}
              disabled={hindrance !== null && hindrance !== "under_way"}
              aria-keyshortcuts="Control+Enter Meta+Enter"
            >
              {words.speak}
            </Button>
            {underWay ? (
              <Button busy={run.cancelling} onClick={cancel}>
                {words.cancel}
              </Button>
            ) : (
              <Hint hindrance={hindrance} waitS={waitS} />
            )}
          </Row>
        </Stack>
      </form>
    </Card>
  );
}

function Hint({ hindrance, waitS }: { hindrance: ReturnType<typeof hindranceOf>; waitS: number }) {
  const mac = /Mac|iP(hone|ad)/.test(navigator.userAgent);
  if (hindrance === "wait")
    return <span className={styles.hint}>{words.retryIn(wholeSeconds(waitS * 1000))}</span>;
  if (hindrance === "no_voice") return <span className={styles.hint}>{words.needVoice}</span>;
  if (hindrance === "no_text") return <span className={styles.hint}>{words.needText}</span>;
  if (hindrance !== null) return null;
  return <kbd className={styles.keys}>{mac ? words.keysMac : words.keys}</kbd>;
}

/** The sentence that the service would refuse this voice with, and the two ways out of it. */
function Guidance({ sentence }: { sentence: string }) {
  return (
    <Banner
      tone="warn"
      action={
        <>
          <Link className={buttonClass("plain", true)} to={paths.clone}>
            {words.cloneVoice}
          </Link>
          <Link className={buttonClass("plain", true)} to={paths.design}>
            {words.designVoice}
          </Link>
        </>
      }
    >
      {sentence}
    </Banner>
  );
}

function standingOf(voiceId: string, voice: Schemas["Voice"] | null | undefined) {
  if (voiceId === "") return "none";
  if (voice === undefined) return "loading";
  if (voice === null) return "gone";
  return voice.speakable ? "speakable" : "unspeakable";
}
