import { type FormEvent, useEffect, useRef, useState } from "react";
import { Link, useLocation } from "react-router";
import { AppearanceButton } from "@/shared/appearance";
import { OfflineBanner } from "@/shared/connection";
import { Button, TextField } from "@/shared/controls";
import { useFocusInvalid } from "@/shared/invalid";
import { Banner, Card, Stack } from "@/shared/layout";
import mark from "@/shared/mark.svg";
import { signIn as words } from "@/strings/sign-in";
import { useConfig } from "../../api/queries";
import { paths } from "../../paths";
import { PasswordField } from "../../session/PasswordField";
import { emailProblem, newPasswordHint, newPasswordProblem } from "../../session/passwords";
import { useSession } from "../../session/session";
import { NoticeBanner } from "../../shell/NoticeBanner";
import styles from "./SignIn.module.css";

export default function SignIn({ purpose }: { purpose: "in" | "up" }) {
  const { search } = useLocation();
  const { data: config } = useConfig();
  const title = purpose === "up" ? words.titleUp : words.titleIn;
  const closed = purpose === "up" && config?.sign_up === false;
  return (
    <main className={styles.page}>
      <div className={styles.corner}>
        <AppearanceButton />
      </div>
      <header className={styles.head}>
        <img src={mark} width={56} height={56} alt={words.tagline} />
        <h1>{title}</h1>
        <p>{words.about}</p>
      </header>
      <div className={styles.box}>
        <Card>
          <Stack>
            <OfflineBanner />
            <NoticeBanner />
            {closed ? (
              <Banner>{words.noSignUp}</Banner>
            ) : (
              // Another purpose is another form: what is wrong with one says nothing about the other.
              <Credentials key={purpose} purpose={purpose} />
            )}
          </Stack>
        </Card>
      </div>
      {(purpose === "up" || config?.sign_up !== false) && (
        <p className={styles.other}>
          {purpose === "up" ? words.haveAccount : words.noAccount}{" "}
          <Link to={(purpose === "up" ? paths.signIn : paths.signUp) + search}>
            {purpose === "up" ? words.signIn : words.signUp}
          </Link>
        </p>
      )}
    </main>
  );
}

function Credentials({ purpose }: { purpose: "in" | "up" }) {
  const { signIn, signUp } = useSession();
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const [attempts, setAttempts] = useState(0);
  const [refused, setRefused] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const form = useRef<HTMLFormElement>(null);
  useFocusInvalid(form, attempts);
  useEffect(() => {
    // Where a keyboard would spring up, the page is to be seen first.
    if (window.matchMedia("(pointer: fine)").matches) form.current?.querySelector("input")?.focus();
  }, []);

  const tried = attempts > 0;
  const badEmail = emailProblem(email);
  const badPassword =
    purpose === "up" ? newPasswordProblem(password) : password === "" ? words.needPassword : null;

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (busy) return;
    setRefused(null);
    if (badEmail !== null || badPassword !== null) {
      setAttempts(attempts + 1);
      return;
    }
    setBusy(true);
    setRefused(await (purpose === "up" ? signUp : signIn)(email, password));
    setBusy(false);
  };

  return (
    <form ref={form} noValidate onSubmit={(event) => void submit(event)}>
      <Stack>
        <TextField
          label={words.email}
          type="email"
          name="email"
          inputMode="email"
          autoComplete="username"
          autoCapitalize="off"
          spellCheck={false}
          value={email}
          error={tried ? badEmail : null}
          onChange={(event) => setEmail(event.target.value)}
        />
        <PasswordField
          label={words.password}
          name="password"
          autoComplete={purpose === "up" ? "new-password" : "current-password"}
          value={password}
          hint={purpose === "up" && !(tried && badPassword) ? newPasswordHint(password) : undefined}
          error={tried ? badPassword : null}
          onChange={(event) => setPassword(event.target.value)}
        />
        {refused !== null && (
          <Banner tone="fail" urgent>
            {refused}
          </Banner>
        )}
        <div className={styles.wide}>
          <Button type="submit" kind="primary" busy={busy}>
            {purpose === "up" ? words.signUp : words.signIn}
          </Button>
        </div>
      </Stack>
    </form>
  );
}
