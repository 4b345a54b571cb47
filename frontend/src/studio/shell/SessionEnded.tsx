import { type FormEvent, useEffect, useRef, useState } from "react";
import { Button, TextField } from "@/shared/controls";
import { Dialog, DialogFoot } from "@/shared/dialog";
import { Banner, Stack } from "@/shared/layout";
import { signIn as words } from "@/strings/sign-in";
import { studio } from "@/strings/studio";
import { PasswordField } from "../session/PasswordField";
import { useSession } from "../session/session";

/** Asks for the password again, over the page as it stands. */
export function SessionEnded() {
  const { state } = useSession();
  if (state.status !== "ended") return null;
  if (state.replacedBy !== undefined) return <Replaced email={state.email} by={state.replacedBy} />;
  return <Again email={state.email} />;
}

function Again({ email }: { email: string }) {
  const { signIn, signOut } = useSession();
  const [password, setPassword] = useState("");
  const [problem, setProblem] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => form.current?.querySelector<HTMLInputElement>('input[type="password"]')?.focus(), []);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (busy || password === "") return;
    setBusy(true);
    // Signed in, this dialog is gone and the page goes on.
    setProblem(await signIn(email, password));
    setBusy(false);
  };
  return (
    <Dialog title={studio.session.ended} open>
      <form ref={form} noValidate onSubmit={(event) => void submit(event)}>
        <Stack>
          <p>{studio.session.endedHelp}</p>
          <TextField label={words.email} name="email" value={email} readOnly autoComplete="username" />
          <PasswordField
            label={words.password}
            name="password"
            value={password}
            autoComplete="current-password"
            error={problem}
            onChange={(event) => {
              setPassword(event.target.value);
              setProblem(null);
            }}
          />
          <DialogFoot>
            <Button onClick={() => void signOut()}>{studio.session.other}</Button>
            <Button type="submit" kind="primary" busy={busy} disabled={password === ""}>
              {words.signIn}
            </Button>
          </DialogFoot>
        </Stack>
      </form>
    </Dialog>
  );
}

/** Nothing of the one person may be sent, or kept, as the other's: the page is loaded anew. */
function Replaced({ email, by }: { email: string; by: string }) {
  return (
    <Dialog title={studio.session.replaced} open>
      <Banner>{studio.session.replacedBy(by)}</Banner>
      <p>{studio.session.replacedHelp(email)}</p>
      <DialogFoot>
        <Button kind="primary" onClick={() => window.location.reload()}>
          {studio.session.goOn}
        </Button>
      </DialogFoot>
    </Dialog>
  );
}
