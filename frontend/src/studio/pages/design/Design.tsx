import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useId, useState } from "react";
import { Button, Counter, SelectField, TextAreaField } from "@/shared/controls";
import { codePoints, money } from "@/shared/format";
import { Banner, Card, Empty, Failure, PageHeader, Skeleton, Stack } from "@/shared/layout";
import { design as words } from "@/strings/design";
import { answered, api } from "../../api/client";
import { keys, useConfig, useLanguages } from "../../api/queries";
import { useDraft } from "../../session/drafts";
import styles from "./Design.module.css";
import { TakeCard } from "./TakeCard";
import { isOver, type Take, takesOf } from "./takes";

const LOOK_MS = 1000;
/** Until the service has said what it takes. */
const LIMIT = 500;
const EMPTY = { text: "", instruct: "", language: "Auto" };

export default function Design() {
  const [draft, change] = useDraft("design", EMPTY);
  const [tried, setTried] = useState(false);
  const { data: languages } = useLanguages();
  const { data: config } = useConfig();
  const takes = useTakes();
  const queries = useQueryClient();
  const heading = useId();

  const textLimit = config?.limits.design_text_chars ?? LIMIT;
  const describeLimit = config?.limits.design_description_chars ?? LIMIT;
  const problems = {
    instruct: problemIn(draft.instruct, describeLimit, words.needsDescription),
    text: problemIn(draft.text, textLimit, words.needsText),
  };
  const preview = useMutation({
    mutationFn: () => answered(api.POST("/api/voices/design/preview", { body: draft })),
    onSuccess: () => {
      setTried(false);
      void queries.invalidateQueries({ queryKey: keys.tasks });
    },
  });
  const offered = languages?.capabilities.supports_design ?? true;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setTried(true);
    if (problems.instruct === null && problems.text === null && offered) preview.mutate();
  };

  return (
    <>
      <PageHeader title={words.title} about={words.about} />
      <div className={styles.page}>
        <Card>
          <form onSubmit={submit} noValidate>
            <Stack>
              {!offered && <Banner tone="warn">{words.notOffered}</Banner>}
              <TextAreaField
                label={words.describe}
                hint={words.describeHint}
                rows={4}
                value={draft.instruct}
                side={<Counter text={draft.instruct} limit={describeLimit} />}
                error={tried ? problems.instruct : null}
                onChange={(event) => change({ instruct: event.target.value })}
              />
              <TextAreaField
                label={words.text}
                hint={words.textHint}
                rows={3}
                value={draft.text}
                side={<Counter text={draft.text} limit={textLimit} />}
                error={tried ? problems.text : null}
                onChange={(event) => change({ text: event.target.value })}
              />
              <SelectField
                label={words.language}
                value={draft.language}
                onChange={(event) => change({ language: event.target.value })}
              >
                {(languages?.languages ?? [draft.language]).map((language) => (
                  <option key={language}>{language}</option>
                ))}
              </SelectField>
              <Price microusd={config?.prices.design_create_microusd[languages?.provider ?? ""]} />
              {preview.error && <Failure error={preview.error} />}
              <Button type="submit" kind="primary" busy={preview.isPending} disabled={!offered}>
                {takes.shown.length > 0 ? words.hearAgain : words.hear}
              </Button>
            </Stack>
          </form>
        </Card>
        <section className={styles.takes} aria-labelledby={heading}>
          <div>
            <h2 id={heading}>{words.takes}</h2>
            <p className={styles.note}>{words.takesHelp}</p>
          </div>
          {takes.error && <Failure error={takes.error} onRetry={takes.retry} />}
          {takes.loading && <Skeleton height="9rem" />}
          {!takes.loading && takes.shown.length === 0 && !takes.error && (
            <Empty
              title={words.noTakes}
              action={
                draft.instruct === "" &&
                draft.text === "" && (
                  <Button onClick={() => change({ instruct: words.exampleVoice, text: words.exampleText })}>
                    {words.example}
                  </Button>
                )
              }
            >
              {words.noTakesHelp}
            </Empty>
          )}
          {takes.shown.map((take) => (
            <TakeCard key={take.id} take={take} onRefine={change} />
          ))}
        </section>
      </div>
    </>
  );
}

/** Previews of the last hour: they are the service's, so a reload of the page loses none. */
function useTakes(): { shown: Take[]; loading: boolean; error: Error | null; retry: () => void } {
  const { data, error, isPending, refetch } = useQuery({
    queryKey: keys.tasks,
    queryFn: () => answered(api.GET("/api/tasks")),
    refetchInterval: ({ state }) => (state.data?.tasks.every(isOver) ? false : LOOK_MS),
  });
  return {
    shown: takesOf(data?.tasks ?? []),
    loading: isPending,
    error: data ? null : error,
    retry: () => void refetch(),
  };
}

function Price({ microusd }: { microusd: number | undefined }) {
  return <p className={styles.note}>{microusd ? words.price(money(microusd)) : words.priceNone}</p>;
}

function problemIn(text: string, limit: number, missing: string): string | null {
  if (text.trim() === "") return missing;
  return codePoints(text) > limit ? words.tooLong(limit) : null;
}
