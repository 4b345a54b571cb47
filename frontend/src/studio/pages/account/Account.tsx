import { useQuery } from "@tanstack/react-query";
import { Card, Failure, PageHeader, Skeleton, Stack } from "@/shared/layout";
import { account as words } from "@/strings/account";
import { answered, api } from "../../api/client";
import { keys } from "../../api/queries";
import styles from "./Account.module.css";
import { EraseAccount } from "./EraseAccount";
import { PasswordForm } from "./PasswordForm";
import { ProfileForm } from "./ProfileForm";
import { SignOutEverywhere } from "./SignOutEverywhere";

export default function Account() {
  const me = useQuery({
    queryKey: keys.me,
    queryFn: ({ signal }) => answered(api.GET("/api/me", { signal })),
  });
  const profile = me.data?.profile;
  return (
    <>
      <PageHeader title={words.title} about={words.about} />
      <div className={styles.sections}>
        <Card>
          <Stack>
            <h2>{words.profile}</h2>
            {profile ? (
              <ProfileForm key={profile.id} profile={profile} />
            ) : me.isError ? (
              <Failure error={me.error} onRetry={() => void me.refetch()} />
            ) : me.isPending ? (
              <Skeleton height="var(--profile-height)" />
            ) : (
              <p className={styles.about}>{words.noProfile}</p>
            )}
          </Stack>
        </Card>
        <PasswordForm />
        <SignOutEverywhere />
        <EraseAccount />
      </div>
    </>
  );
}
