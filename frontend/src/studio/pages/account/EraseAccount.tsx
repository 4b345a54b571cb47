import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { Button } from "@/shared/controls";
import { Confirm } from "@/shared/dialog";
import { Banner, Card, Row, Stack } from "@/shared/layout";
import { sentenceOf } from "@/shared/problems";
import { useTell } from "@/shared/toasts";
import { account as words } from "@/strings/account";
import { answered, api } from "../../api/client";
import { forgetDrafts } from "../../session/drafts";
import { useSession } from "../../session/session";
import { keepRecording } from "../clone/safekeeping";
import styles from "./Account.module.css";

export function EraseAccount() {
  const { state, signOut } = useSession();
  const [asking, setAsking] = useState(false);
  const tell = useTell();
  const erasing = useMutation({
    mutationFn: () => answered(api.DELETE("/api/me")),
    onSuccess: async (erased) => {
      forgetDrafts(erased.user_id);
      await keepRecording(erased.user_id, null);
      tell(words.erased);
      await signOut();
    },
  });
  const email = "email" in state ? state.email : "";
  return (
    <Card>
      <Stack>
        <h2>{words.erase}</h2>
        <p className={styles.about}>{words.eraseAbout}</p>
        <Row>
          <Button kind="danger" onClick={() => setAsking(true)}>
            {words.erase}
          </Button>
        </Row>
      </Stack>
      <Confirm
        title={words.eraseAsk}
        open={asking}
        action={words.eraseAction}
        kind="danger"
        typed={email}
        busy={erasing.isPending}
        onConfirm={() => erasing.mutate()}
        onClose={() => {
          if (erasing.isPending) return;
          setAsking(false);
          erasing.reset();
        }}
      >
        <ul className={styles.list}>
          {words.eraseList.map((each) => (
            <li key={each}>{each}</li>
          ))}
        </ul>
        {erasing.isError && (
          <Banner tone="fail" urgent>
            {sentenceOf(erasing.error, words.failed)}
          </Banner>
        )}
      </Confirm>
    </Card>
  );
}
