import { keepPreviousData, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";
import { answered, api, type Schemas } from "../../api/client";
import { keys, useLanguages } from "../../api/queries";
import { isOver, type Task, untilOver } from "../../speaking/speech";

const VOICES = 50;
const NEWEST = 50;
const TASKS_EVERY_MS = 10_000;

/** Voices by name; asked anew when another provider speaks, for what it can speak changes with it. */
export function useVoices(search: string) {
  const provider = useLanguages().data?.provider ?? null;
  return useQuery({
    queryKey: [...keys.voices, "picker", search, provider],
    queryFn: () =>
      answered(
        api.GET("/api/voices", { params: { query: { per_page: VOICES, ...(search ? { search } : {}) } } }),
      ),
    placeholderData: keepPreviousData,
    refetchOnWindowFocus: "always",
  });
}

type Voice = Schemas["Voice"];

const PAGE = 100;
const PAGES_MOST = 10;

async function findVoice(voiceId: string): Promise<Voice | null> {
  for (let page = 1; page <= PAGES_MOST; page += 1) {
    const { voices, pagination } = await answered(
      api.GET("/api/voices", { params: { query: { page, per_page: PAGE } } }),
    );
    const found = voices.find(({ id }) => id === voiceId);
    if (found) return found;
    if (page >= pagination.pages) break;
  }
  return null;
}

/** The chosen voice as it is now; `undefined` while that is not known, `null` when there is none such. */
export function useVoice(voiceId: string): Voice | null | undefined {
  const provider = useLanguages().data?.provider ?? null;
  const newest = useVoices("").data?.voices;
  const near = newest?.find(({ id }) => id === voiceId);
  const { data: far } = useQuery({
    queryKey: [...keys.voices, "one", voiceId, provider],
    queryFn: () => findVoice(voiceId),
    enabled: voiceId !== "" && newest !== undefined && near === undefined,
  });
  return voiceId === "" ? null : (near ?? far);
}

export function useTasks() {
  return useQuery({
    queryKey: keys.tasks,
    queryFn: () => answered(api.GET("/api/tasks")),
    refetchInterval: TASKS_EVERY_MS,
    select: ({ tasks }) => tasks.filter((task) => task.type === "generate"),
  });
}

/** The newest generations: what a task speaks, and how long such things take. */
export function useNewest() {
  return useQuery({
    queryKey: [...keys.generations, "newest"],
    queryFn: () => answered(api.GET("/api/generations", { params: { query: { per_page: NEWEST } } })),
    select: ({ generations }) => generations,
  });
}

/** Follows a task that is under way; lists ask anew as soon as its status changes. */
export function useFollow(task: Task): void {
  const queries = useQueryClient();
  const { id } = task;
  const over = isOver(task.status);
  useEffect(() => {
    if (over) return;
    const abort = new AbortController();
    let before: Task["status"] | null = null;
    const changed = ({ status }: Task) => {
      if (before !== null && before === status && !isOver(status)) return;
      before = status;
      void queries.invalidateQueries({ queryKey: keys.tasks });
      void queries.invalidateQueries({ queryKey: keys.generations });
    };
    untilOver(id, abort.signal, changed).catch(() => undefined);
    return () => abort.abort();
  }, [id, over, queries]);
}
