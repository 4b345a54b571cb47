import { CopyButton } from "@/shared/copying";
import { Card, Stack } from "@/shared/layout";
import { cutover as strings } from "@/strings/cutover";
import styles from "./cutover.module.css";

/** How a cutover is begun; nothing on this page can begin one. */
export function Begin({ again }: { again: boolean }) {
  const { commands } = strings;
  return (
    <Card>
      <Stack>
        <div>
          <h2>{again ? strings.beginAgain : strings.headline.none}</h2>
          <p className={styles.soft}>{strings.beginAbout}</p>
        </div>
        <ol className={styles.commands}>
          {[commands.plan, commands.start].map(({ text, about }) => (
            <li key={text}>
              <span className={styles.command}>
                <code>{text}</code>
                <CopyButton text={text} label={strings.command} />
              </span>
              <span className={styles.soft}>{about}</span>
            </li>
          ))}
        </ol>
      </Stack>
    </Card>
  );
}
