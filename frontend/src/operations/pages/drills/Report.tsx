import { Dialog } from "@/shared/dialog";
import { Failure, Loading } from "@/shared/layout";
import { Markdown } from "@/shared/markdownView";
import { drills as strings } from "@/strings/drills";
import styles from "./drills.module.css";
import { useDrillReport } from "./queries";

interface Props {
  /** Null: closed. */
  name: string | null;
  onClose: () => void;
}

/** The report of the incident that a drill made, word for word. */
export function Report({ name, onClose }: Props) {
  const query = useDrillReport(name);
  return (
    <Dialog title={strings.reportTitle} open={name !== null} onClose={onClose}>
      <div className={styles.report}>
        {query.isPending && <Loading rows={4} height="5rem" />}
        {query.isError && <Failure error={query.error} onRetry={() => void query.refetch()} />}
        {query.data && <Markdown text={query.data.markdown} below={1} />}
      </div>
    </Dialog>
  );
}
