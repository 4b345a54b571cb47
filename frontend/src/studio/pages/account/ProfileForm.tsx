import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useRef, useState } from "react";
import { Button, TextField } from "@/shared/controls";
import { useFocusInvalid } from "@/shared/invalid";
import { Banner, Row, Stack } from "@/shared/layout";
import { sentenceOf } from "@/shared/problems";
import { useTell } from "@/shared/toasts";
import { account as words } from "@/strings/account";
import { answered, api, type Schemas } from "../../api/client";
import { keys } from "../../api/queries";
import {
  changesOf,
  fieldOfRefusal,
  fieldsOf,
  type ProfileFields,
  type ProfileProblems,
  profileProblems,
} from "./profile";

export function ProfileForm({ profile }: { profile: Schemas["Profile"] }) {
  const [fields, setFields] = useState(() => fieldsOf(profile));
  const [attempts, setAttempts] = useState(0);
  const form = useRef<HTMLFormElement>(null);
  const queries = useQueryClient();
  const tell = useTell();
  useFocusInvalid(form, attempts);

  const saving = useMutation({
    mutationFn: (changes: Schemas["ProfileChanges"]) =>
      answered(api.PATCH("/api/profile", { body: changes })),
    onSuccess: (saved) => {
      setFields(fieldsOf(saved.profile));
      setAttempts(0);
      tell(words.saved);
      void queries.invalidateQueries({ queryKey: keys.me });
    },
    onError: () => setAttempts((before) => before + 1),
  });
  const said = saving.isError ? sentenceOf(saving.error, words.failed) : null;
  const field = said === null ? null : fieldOfRefusal(said);
  const changes = changesOf(profile, fields);
  const wrong: ProfileProblems = {
    ...(attempts > 0 ? profileProblems(changes) : {}),
    ...(said !== null && field !== null ? { [field]: said } : {}),
  };

  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (saving.isPending) return;
    saving.reset();
    if (Object.keys(changes).length === 0) {
      tell(words.unchanged);
      return;
    }
    if (Object.keys(profileProblems(changes)).length > 0) setAttempts(attempts + 1);
    else saving.mutate(changes);
  };
  const change = (some: Partial<ProfileFields>) => {
    setFields((before) => ({ ...before, ...some }));
    if (saving.isError) saving.reset();
  };

  return (
    <form ref={form} noValidate onSubmit={submit}>
      <Stack>
        <TextField
          label={words.handle}
          name="handle"
          autoComplete="nickname"
          autoCapitalize="off"
          spellCheck={false}
          maxLength={30}
          value={fields.handle}
          hint={wrong.handle ? undefined : words.handleHint}
          error={wrong.handle}
          onChange={(event) => change({ handle: event.target.value })}
        />
        <TextField
          label={words.displayName}
          name="name"
          autoComplete="name"
          value={fields.displayName}
          hint={wrong.displayName ? undefined : words.displayNameHint}
          error={wrong.displayName}
          onChange={(event) => change({ displayName: event.target.value })}
        />
        <TextField
          label={words.avatar}
          name="photo"
          type="url"
          inputMode="url"
          autoComplete="photo"
          spellCheck={false}
          value={fields.avatar}
          hint={wrong.avatar ? undefined : words.avatarHint}
          error={wrong.avatar}
          onChange={(event) => change({ avatar: event.target.value })}
        />
        {said !== null && field === null && (
          <Banner tone="fail" urgent>
            {said}
          </Banner>
        )}
        <Row>
          <Button type="submit" kind="primary" busy={saving.isPending}>
            {words.save}
          </Button>
        </Row>
      </Stack>
    </form>
  );
}
