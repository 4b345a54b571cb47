import { type QueryKey, useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, type ReactNode, useState } from "react";
import { Button, type ButtonKind, TextAreaField, TextField } from "@/shared/controls";
import { Dialog, DialogFoot } from "@/shared/dialog";
import { Failure, Stack } from "@/shared/layout";
import { useTell } from "@/shared/toasts";
import { common } from "@/strings/common";
import { orders } from "@/strings/live";
import { useMe } from "../api/queries";

/** Null when this key may act; else the sentence that says why not. For `disabled` and beside the button. */
export function useWhyNot(): string | null {
  const { data } = useMe();
  if (data === undefined) return orders.unknown;
  return data.may_approve ? null : orders.mayNot;
}

interface OrderProps<T> {
  title: string;
  /** What the button says that carries it out. */
  action: string;
  kind?: ButtonKind;
  /** What it does, and what it leaves undone. */
  about?: ReactNode;
  /** `none`: nothing is asked for. */
  reason?: "required" | "optional" | "none";
  /** What is asked for where it is not a reason, and what is said when it is missing. */
  words?: { label: string; hint?: string; missing: string; rows?: number; limit?: number };
  /** A word that must be typed first. */
  typed?: string;
  run: (reason: string) => Promise<T>;
  /** What is out of date afterwards. */
  touches: readonly QueryKey[];
  /** Said when it is done; null: the page says it itself. */
  done?: string | null | ((answer: T) => string);
  onDone?: (answer: T) => void;
}

/**
 * One order of a person: a dialog that says what it does, asks for the reason, and carries it out once.
 * `ask` opens it, `dialog` is put anywhere in the page. The guard's refusal stands in the dialog, word for word.
 */
export function useOrder<T>(props: OrderProps<T>) {
  const [open, setOpen] = useState(false);
  const [reason, setReason] = useState("");
  const [word, setWord] = useState("");
  const [missing, setMissing] = useState(false);
  const tell = useTell();
  const queries = useQueryClient();
  const asks = props.reason ?? "required";
  const mutation = useMutation({
    mutationFn: () => props.run(reason.trim()),
    onSuccess: (answer) => {
      setOpen(false);
      const { done = orders.done } = props;
      if (done !== null) tell(typeof done === "function" ? done(answer) : done);
      props.onDone?.(answer);
    },
    onSettled: () => Promise.all(props.touches.map((queryKey) => queries.invalidateQueries({ queryKey }))),
  });
  const ready = props.typed === undefined || word.trim() === props.typed;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const lacks = asks === "required" && reason.trim() === "";
    setMissing(lacks);
    if (!lacks && ready && !mutation.isPending) mutation.mutate();
  };
  const dialog = (
    <Dialog title={props.title} open={open} onClose={() => !mutation.isPending && setOpen(false)}>
      <form onSubmit={submit}>
        <Stack>
          {props.about}
          {asks !== "none" && (
            <TextAreaField
              label={props.words?.label ?? orders.reason}
              side={asks === "optional" ? common.optional : undefined}
              hint={props.words?.hint ?? orders.reasonHint}
              error={missing ? (props.words?.missing ?? orders.reasonMissing) : null}
              value={reason}
              rows={props.words?.rows ?? 2}
              maxLength={props.words?.limit ?? 500}
              onChange={(event) => setReason(event.target.value)}
            />
          )}
          {props.typed !== undefined && (
            <TextField
              label={common.typeToConfirm(props.typed)}
              value={word}
              autoComplete="off"
              autoCapitalize="off"
              spellCheck={false}
              onChange={(event) => setWord(event.target.value)}
            />
          )}
          {mutation.isError && <Failure error={mutation.error} />}
          <DialogFoot>
            <Button disabled={mutation.isPending} onClick={() => setOpen(false)}>
              {common.cancel}
            </Button>
            <Button type="submit" kind={props.kind ?? "primary"} disabled={!ready} busy={mutation.isPending}>
              {props.action}
            </Button>
          </DialogFoot>
        </Stack>
      </form>
    </Dialog>
  );
  const ask = () => {
    mutation.reset();
    setReason("");
    setWord("");
    setMissing(false);
    setOpen(true);
  };
  return { ask, dialog, busy: mutation.isPending };
}
