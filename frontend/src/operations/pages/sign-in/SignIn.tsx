import { useQuery } from "@tanstack/react-query";
import { Eye, EyeOff } from "lucide-react";
import { type FormEvent, useState } from "react";
import { Button, IconButton, TextField } from "@/shared/controls";
import { Badge, Banner, Card } from "@/shared/layout";
import mark from "@/shared/mark.svg";
import { problemOf } from "@/shared/problems";
import { common } from "@/strings/common";
import { operator } from "@/strings/operator";
import { GUARD } from "../../api/client";
import { useOperator } from "../../session/operator";
import styles from "./SignIn.module.css";

/** Asks the guard whose key it is; returns why it cannot be used, or null. */
async function problemWith(key: string): Promise<string | null> {
  try {
    const response = await fetch(`${GUARD}/me`, { headers: { Authorization: `Bearer ${key}` } });
    if (response.ok) return null;
    return response.status === 401
      ? operator.wrong
      : (await problemOf(response, operator.unreachable)).detail;
  } catch {
    return operator.unreachable;
  }
}

export default function SignIn() {
  const { signIn, refused } = useOperator();
  const [key, setKey] = useState("");
  const [shown, setShown] = useState(false);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    const given = key.trim();
    if (given === "") return setProblem(operator.missing);
    // What cannot stand in a header was not pasted from the command.
    if (!/^[\x21-\x7e]+$/.test(given)) return setProblem(operator.shape);
    setBusy(true);
    const found = await problemWith(given);
    setBusy(false);
    if (found === null) signIn(given);
    else setProblem(found === operator.wrong && !given.startsWith("ugk_") ? operator.shape : found);
  };

  return (
    <main className={styles.page}>
      <div className={styles.inside}>
        <header className={styles.head}>
          <img src={mark} width={40} height={40} alt="" />
          <div>
            <h1>{operator.title}</h1>
            <p>{operator.about}</p>
          </div>
        </header>
        {refused && problem === null && <Banner tone="warn">{operator.refused}</Banner>}
        <Card>
          <form className={styles.form} onSubmit={submit}>
            <div className={styles.key}>
              <TextField
                label={operator.key}
                hint={operator.keyHint}
                error={problem}
                type={shown ? "text" : "password"}
                value={key}
                autoComplete="current-password"
                autoCapitalize="off"
                spellCheck={false}
                autoFocus
                onChange={(event) => {
                  setKey(event.target.value);
                  setProblem(null);
                }}
              />
              <div className={styles.eye}>
                <IconButton
                  small
                  label={shown ? operator.hide : operator.show}
                  onClick={() => setShown(!shown)}
                >
                  {shown ? <EyeOff size={18} aria-hidden="true" /> : <Eye size={18} aria-hidden="true" />}
                </IconButton>
              </div>
            </div>
            <Button type="submit" kind="primary" busy={busy}>
              {operator.signIn}
            </Button>
          </form>
        </Card>
        <section className={styles.how}>
          <h2>{operator.howTitle}</h2>
          <p>{operator.how}</p>
          <Command text={operator.command} />
          <p>{operator.machine}</p>
        </section>
        <section className={styles.how}>
          <h2>{operator.openTitle}</h2>
          <Health />
        </section>
      </div>
    </main>
  );
}

function Command({ text }: { text: string }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setCopied(true);
    } catch {
      // The text can be selected.
    }
  };
  return (
    <p className={styles.command}>
      <code>{text}</code>
      <Button small onClick={() => void copy()} aria-label={operator.copy}>
        {copied ? common.copied : common.copy}
      </Button>
    </p>
  );
}

/** What anybody may know without a key. */
function Health() {
  const { data, isPending } = useQuery({
    queryKey: ["health"],
    queryFn: async () => {
      try {
        return (await fetch(`${GUARD}/health`)).ok ? "ok" : "stuck";
      } catch {
        return "away";
      }
    },
    refetchInterval: 5000,
  });
  const tone = { ok: "pass", stuck: "blind", away: "fail" } as const;
  return (
    <p role="status">
      {isPending || data === undefined ? (
        <Badge>{operator.health.asking}</Badge>
      ) : (
        <Badge tone={tone[data]}>{operator.health[data]}</Badge>
      )}
    </p>
  );
}
