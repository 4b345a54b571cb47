import { type FormEvent, useRef, useState } from "react";
import { Button, TextField } from "@/shared/controls";
import { useFocusInvalid } from "@/shared/invalid";
import { Card, Row, Stack } from "@/shared/layout";
import { useTell } from "@/shared/toasts";
import { account as words } from "@/strings/account";
import { PasswordField } from "../../session/PasswordField";
import { newPasswordHint, newPasswordProblem } from "../../session/passwords";
import { useSession } from "../../session/session";

/** The address, for password managers as well, and a new password for it. */
export function PasswordForm() {
  const { state, changePassword } = useSession();
  const [password, setPassword] = useState("");
  const [attempts, setAttempts] = useState(0);
  const [refused, setRefused] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const form = useRef<HTMLFormElement>(null);
  const tell = useTell();
  useFocusInvalid(form, attempts);
  const problem = attempts > 0 ? (newPasswordProblem(password) ?? refused) : null;

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (busy) return;
    setRefused(null);
    if (newPasswordProblem(password) !== null) {
      setAttempts(attempts + 1);
      return;
    }
    setBusy(true);
    const said = await changePassword(password);
    setBusy(false);
    setRefused(said);
    if (said !== null) {
      setAttempts(attempts + 1);
      return;
    }
    setPassword("");
    setAttempts(0);
    tell(words.passwordChanged);
  };

  return (
    <Card>
      <form ref={form} noValidate onSubmit={(event) => void submit(event)}>
        <Stack>
          <h2>{words.signingIn}</h2>
          <TextField
            label={words.email}
            name="email"
            autoComplete="username"
            readOnly
            value={"email" in state ? state.email : ""}
            hint={words.emailHint}
          />
          <PasswordField
            label={words.newPassword}
            name="new-password"
            autoComplete="new-password"
            value={password}
            hint={problem === null ? newPasswordHint(password) : undefined}
            error={problem}
            onChange={(event) => {
              setPassword(event.target.value);
              setRefused(null);
            }}
          />
          <Row>
            <Button type="submit" busy={busy}>
              {words.changePassword}
            </Button>
          </Row>
        </Stack>
      </form>
    </Card>
  );
}
