import { useState } from "react";
import { evidence as strings } from "@/strings/evidence";
import { Button } from "./controls";
import { CopyButton, Hash } from "./copying";
import { type Field, fieldsOf, type Shown } from "./evidence";
import styles from "./evidence.module.css";
import { Time } from "./time";

/** So many fields are shown at once; a list of hundreds of rows opens by and by. */
const AT_ONCE = 12;
const LONGEST_TEXT = 320;
/** A part of so few plain values needs no folding. */
const PLAIN_PART = 4;

interface Props {
  document: { [name: string]: unknown };
  /** Offer the whole of it as JSON, too. */
  whole?: boolean;
}

/** Any document of evidence, by name and value; what is long is folded. */
export function Evidence({ document, whole }: Props) {
  return (
    <div className={styles.evidence}>
      <Fields fields={fieldsOf(document)} />
      {whole && <Whole document={document} />}
    </div>
  );
}

function Fields({ fields }: { fields: readonly Field[] }) {
  const [limit, setLimit] = useState(AT_ONCE);
  const left = fields.length - limit;
  return (
    <>
      <dl className={styles.fields}>
        {fields.slice(0, limit).map((field) => (
          <div key={field.name} className={styles.field}>
            <dt>{field.name}</dt>
            <dd>
              <Value name={field.name} shown={field.shown} />
            </dd>
          </div>
        ))}
      </dl>
      {left > 0 && (
        <Button small kind="quiet" onClick={() => setLimit(limit + AT_ONCE * 4)}>
          {strings.more(Math.min(left, AT_ONCE * 4))}
        </Button>
      )}
    </>
  );
}

function Value({ name, shown }: { name: string; shown: Shown }) {
  switch (shown.kind) {
    case "hash":
      return <Hash value={shown.text} label={name} />;
    case "time":
      return <Time at={shown.at} />;
    case "text":
      return shown.text.length <= LONGEST_TEXT ? (
        shown.text
      ) : (
        <Fold about={`${shown.text.slice(0, LONGEST_TEXT / 2)}…`}>{() => shown.text}</Fold>
      );
    case "part":
      if (shown.fields.length <= PLAIN_PART && shown.fields.every((field) => field.shown.kind === "text")) {
        return <Plain fields={shown.fields} />;
      }
      return <Fold about={shown.about}>{() => <Fields fields={shown.fields} />}</Fold>;
  }
}

function Plain({ fields }: { fields: readonly Field[] }) {
  return (
    <ul>
      {fields.map((field) => (
        <li key={field.name}>{field.shown.kind === "text" && strings.pair(field.name, field.shown.text)}</li>
      ))}
    </ul>
  );
}

/** Closed at first; what is inside is made when it is opened. */
function Fold({ about, children }: { about: string; children: () => React.ReactNode }) {
  const [open, setOpen] = useState(false);
  return (
    <details className={styles.fold} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>{about}</summary>
      {open && <div className={styles.inside}>{children()}</div>}
    </details>
  );
}

function Whole({ document }: { document: { [name: string]: unknown } }) {
  return (
    <Fold about={strings.whole}>
      {() => {
        const text = JSON.stringify(document, null, 2);
        return (
          <div className={styles.json}>
            <CopyButton text={text} label={strings.json} />
            {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard. */}
            <pre tabIndex={0}>{text}</pre>
          </div>
        );
      }}
    </Fold>
  );
}
