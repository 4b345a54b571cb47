import { Download } from "lucide-react";
import { useState } from "react";
import { Button } from "@/shared/controls";
import { CopyButton } from "@/shared/copying";
import { Banner, Card, Failure, Loading } from "@/shared/layout";
import { Markdown } from "@/shared/markdownView";
import { common } from "@/strings/common";
import { incidents as strings } from "@/strings/incidents";
import { type ReportFormat, reportText, useReport } from "./queries";
import styles from "./report.module.css";

/** The report as the guard writes it from the journal; a draft while the incident is not over. */
export function Report({ id, over }: { id: string; over: boolean }) {
  const query = useReport(id);
  const verify = `understudy incident verify ${id}`;
  return (
    <Card>
      <div className={styles.report}>
        {!over && <Banner tone="warn">{strings.report.draft}</Banner>}
        <div className={styles.top}>
          <div>
            <p className={styles.soft}>{strings.report.verify}</p>
            <p className={styles.command}>
              <code>{verify}</code>
              <CopyButton text={verify} label={strings.report.verifyLabel} />
            </p>
          </div>
          <div className={styles.downloads}>
            <Save id={id} format="md" />
            <Save id={id} format="json" />
          </div>
        </div>
        {query.isPending && <Loading rows={6} height="6rem" />}
        {query.isError && <Failure error={query.error} onRetry={() => void query.refetch()} />}
        {query.data !== undefined && <Markdown text={query.data} below={1} />}
      </div>
    </Card>
  );
}

const TYPES: Record<ReportFormat, string> = { md: "text/markdown", json: "application/json" };

function Save({ id, format }: { id: string; format: ReportFormat }) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const save = async () => {
    setBusy(true);
    setError(null);
    try {
      const text = await reportText(id, format);
      const url = URL.createObjectURL(new Blob([text], { type: TYPES[format] }));
      const link = document.createElement("a");
      link.href = url;
      link.download = `${id}.${format}`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(url), 10_000);
    } catch (problem) {
      setError(problem);
    } finally {
      setBusy(false);
    }
  };
  return (
    <>
      <Button small busy={busy} onClick={() => void save()}>
        <Download size={16} aria-hidden="true" />
        {strings.report[format === "md" ? "markdown" : "json"]}
      </Button>
      {error !== null && <Failure error={error ?? common.failed} />}
    </>
  );
}
