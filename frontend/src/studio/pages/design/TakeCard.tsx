import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { Link, useNavigate } from "react-router";
import { Button, buttonClass, TextField } from "@/shared/controls";
import { Dialog, DialogFoot } from "@/shared/dialog";
import { codePoints, duration } from "@/shared/format";
import { Badge, Card, Failure, Row, Stack } from "@/shared/layout";
import { useNow } from "@/shared/time";
import { useTell } from "@/shared/toasts";
import { common } from "@/strings/common";
import { design as words } from "@/strings/design";
import { answered, api, type Schemas } from "../../api/client";
import { keys } from "../../api/queries";
import { paths } from "../../paths";
import { ownOrigin } from "../../player/links";
import { PlayButton } from "../../player/PlayButton";
import styles from "./Design.module.css";
import { isOver, keptAs, type Take } from "./takes";

type Brief = Schemas["DesignBrief"];

interface TakeCardProps {
  take: Take;
  onRefine: (brief: { text: string; instruct: string; language: string }) => void;
}

/** One preview: hear it, change its words, or keep it. */
export function TakeCard({ take, onRefine }: TakeCardProps) {
  const [naming, setNaming] = useState(false);
  const tell = useTell();
  const name = words.take(take.number);
  const brief = take.brief ?? null;
  const voice = keptAs(take);
  const refine = (from: Brief) => {
    onRefine({ text: from.text, instruct: from.instruct, language: from.language });
    tell(words.refined);
  };
  return (
    <Card className={styles.take}>
      <div className={styles.head}>
        {take.status === "completed" && (
          <PlayButton
            track={{ key: `take:${take.id}`, title: name, about: brief?.instruct ?? "" }}
            link={() => freshLink(take.id)}
            label={words.play(name)}
            pauseLabel={words.pause(name)}
          />
        )}
        <h3>{name}</h3>
        {!isOver(take) && <Waiting since={take.created_at} />}
        {voice && <Badge tone="pass">{words.keptBadge}</Badge>}
      </div>
      {brief && <p className={styles.words}>{brief.instruct}</p>}
      {take.status === "failed" && <p className={styles.problem}>{take.error ?? words.failed}</p>}
      {take.status === "cancelled" && <p className={styles.note}>{words.cancelled}</p>}
      <Row>
        {!isOver(take) && <CancelButton id={take.id} />}
        {take.status === "completed" && !voice && brief && (
          <Button small kind="primary" onClick={() => setNaming(true)}>
            {words.keep}
          </Button>
        )}
        {voice && (
          <Link className={buttonClass("plain", true)} to={`${paths.generate}?voice_id=${voice}`}>
            {words.speak}
          </Link>
        )}
        {brief && isOver(take) && (
          <Button small onClick={() => refine(brief)}>
            {words.refine}
          </Button>
        )}
      </Row>
      {brief && <Naming take={take} brief={brief} open={naming} onClose={() => setNaming(false)} />}
    </Card>
  );
}

/** The task's link as it is now: one that was read a while ago has expired. */
async function freshLink(id: string): Promise<string> {
  const task = await answered(api.GET("/api/tasks/{id}", { params: { path: { id } } }));
  return ownOrigin(task.result?.audio_url ?? "");
}

function Waiting({ since }: { since: string }) {
  const elapsed = Math.max(0, useNow().getTime() - new Date(since).getTime());
  return (
    <span className={styles.note} role="status" aria-label={words.making}>
      {words.waited(duration(Math.floor(elapsed / 1000) * 1000))}
    </span>
  );
}

function CancelButton({ id }: { id: string }) {
  const queries = useQueryClient();
  const cancel = useMutation({
    mutationFn: () => answered(api.POST("/api/tasks/{id}/cancel", { params: { path: { id } } })),
    onSettled: () => queries.invalidateQueries({ queryKey: keys.tasks }),
  });
  return (
    <Button small busy={cancel.isPending} onClick={() => cancel.mutate()}>
      {words.cancel}
    </Button>
  );
}

interface NamingProps {
  take: Take;
  brief: Brief;
  open: boolean;
  onClose: () => void;
}

function Naming({ take, brief, open, onClose }: NamingProps) {
  const [name, setName] = useState("");
  const queries = useQueryClient();
  const navigate = useNavigate();
  const tell = useTell();
  const long = codePoints(name.trim()) > 100;
  const keep = useMutation({
    mutationFn: () =>
      answered(
        api.POST("/api/voices/design", {
          body: { ...brief, name: name.trim(), task_id: take.id },
          bodySerializer: asForm,
        }),
      ),
    onSuccess: (voice) => {
      void queries.invalidateQueries({ queryKey: keys.voices });
      void queries.invalidateQueries({ queryKey: keys.tasks });
      onClose();
      tell({
        text: words.kept(voice.name),
        action: { label: words.speak, run: () => void navigate(`${paths.generate}?voice_id=${voice.id}`) },
      });
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (name.trim() !== "" && !long && !keep.isPending) keep.mutate();
  };
  return (
    <Dialog title={words.keepTitle} open={open} onClose={onClose}>
      <form onSubmit={submit}>
        <Stack>
          <TextField
            label={words.name}
            hint={words.nameHint}
            value={name}
            autoComplete="off"
            error={long ? words.nameLong : null}
            onChange={(event) => setName(event.target.value)}
          />
          {keep.error && <Failure error={keep.error} />}
          <DialogFoot>
            <Button onClick={onClose}>{common.cancel}</Button>
            <Button type="submit" kind="primary" busy={keep.isPending} disabled={name.trim() === "" || long}>
              {words.keep}
            </Button>
          </DialogFoot>
        </Stack>
      </form>
    </Dialog>
  );
}

function asForm(fields: Record<string, unknown> = {}): FormData {
  const form = new FormData();
  for (const [field, value] of Object.entries(fields)) {
    if (typeof value === "string") form.set(field, value);
  }
  return form;
}
