import { useState } from "react";
import { Button } from "@/shared/controls";
import { Confirm } from "@/shared/dialog";
import { Banner, Card, Row, Stack } from "@/shared/layout";
import { account as words } from "@/strings/account";
import { useSession } from "../../session/session";
import styles from "./Account.module.css";

export function SignOutEverywhere() {
  const { signOut } = useSession();
  const [asking, setAsking] = useState(false);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const carryOut = async () => {
    setBusy(true);
    setProblem(await signOut(true));
    setBusy(false);
    setAsking(false);
  };
  return (
    <Card>
      <Stack>
        <h2>{words.sessions}</h2>
        <p className={styles.about}>{words.sessionsAbout}</p>
        {problem !== null && (
          <Banner tone="fail" urgent>
            {problem}
          </Banner>
        )}
        <Row>
          <Button onClick={() => setAsking(true)}>{words.signOutEverywhere}</Button>
        </Row>
      </Stack>
      <Confirm
        title={words.signOutAsk}
        open={asking}
        action={words.signOutEverywhere}
        busy={busy}
        onConfirm={() => void carryOut()}
        onClose={() => setAsking(false)}
      >
        <p>{words.signOutAbout}</p>
      </Confirm>
    </Card>
  );
}
