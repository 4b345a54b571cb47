import { useQueryClient } from "@tanstack/react-query";
import { useCallback, useEffect, useRef, useState } from "react";
import { sentenceOf } from "@/shared/problems";
import { useTell } from "@/shared/toasts";
import { clone as words } from "@/strings/clone";
import { answered, api, type Schemas } from "../../api/client";
import { keys } from "../../api/queries";
import { ownOrigin } from "../../player/links";
import { toSend } from "./recording";
import { type Made, type Stage, send } from "./sending";
import { putFile } from "./uploading";
import type { HeldRecording } from "./useRecording";

export type Draft = Pick<Schemas["Draft"], "name" | "language" | "transcript" | "description">;
export type ConsentGiven = Schemas["ConsentGiven"];

export interface Making {
  stage: Stage | null;
  problem: string | null;
  made: Made | null;
  start: (draft: Draft, consent: ConsentGiven | null, mostBytes: number) => Promise<void>;
  cancel: () => void;
  clear: () => void;
}

/** Makes a voice of the recording that is held; whatever fails can be tried again. */
export function useMaking(held: HeldRecording, forgetFields: () => void): Making {
  const [stage, setStage] = useState<Stage | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const [made, setMade] = useState<Made | null>(null);
  const controller = useRef<AbortController | null>(null);
  const queries = useQueryClient();
  const tell = useTell();
  /** It goes on when the page is left, and is told wherever they are by then. */
  const left = useRef(false);
  useEffect(() => {
    left.current = false;
    return () => {
      left.current = true;
    };
  }, []);

  const { recording, part, pending, hold, forget } = held;
  const start = useCallback(
    async (draft: Draft, consent: ConsentGiven | null, mostBytes: number) => {
      if (recording === null || controller.current !== null) return;
      const mine = new AbortController();
      controller.current = mine;
      setProblem(null);
      setStage({ name: "preparing" });
      try {
        const file = toSend(recording, part, mostBytes);
        const voice = await send(
          pending,
          {
            ticket: (signal) => answered(api.POST("/api/clone/upload-url", { body: draft, signal })),
            put: (url, progress, signal) => putFile(ownOrigin(url), file, progress, signal),
            finalize: (voice_id, signal) =>
              answered(
                api.POST("/api/clone/finalize", {
                  body: { ...draft, voice_id, ...(consent ? { consent } : {}) },
                  signal,
                }),
              ),
            keep: hold,
            told: setStage,
            pause: sleep,
            now: () => Date.now(),
          },
          mine.signal,
        );
        // At once: loaded anew, this page must not offer to make, and to pay, it a second time.
        forget();
        forgetFields();
        setMade(voice);
        if (left.current) tell(words.ready(voice.name));
        void queries.invalidateQueries({ queryKey: keys.voices });
        void queries.invalidateQueries({ queryKey: keys.usage });
      } catch (error) {
        const asked = error instanceof DOMException && error.name === "AbortError";
        const sentence = asked ? words.cancelled : sentenceOf(error, words.failed);
        setProblem(sentence);
        if (left.current) tell(sentence);
      } finally {
        if (controller.current === mine) controller.current = null;
        setStage(null);
      }
    },
    [recording, part, pending, hold, forget, forgetFields, queries, tell],
  );

  const cancel = useCallback(() => controller.current?.abort(), []);
  const clear = useCallback(() => {
    setMade(null);
    setProblem(null);
  }, []);
  return { stage, problem, made, start, cancel, clear };
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((done, failed) => {
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      failed(new DOMException("", "AbortError"));
    });
  });
}
