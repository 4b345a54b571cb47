import { Check, Copy } from "lucide-react";
import { useEffect, useState } from "react";
import { evidence as strings } from "@/strings/evidence";
import { IconButton } from "./controls";
import styles from "./evidence.module.css";
import { useTell } from "./toasts";

const SHOWN_MS = 1500;

/** Puts `text` on the clipboard. `label`: what it is, as in "Copy the hash". */
export function CopyButton({ text, label }: { text: string; label: string }) {
  const [copied, setCopied] = useState(false);
  const tell = useTell();
  useEffect(() => {
    if (!copied) return undefined;
    const timer = setTimeout(() => setCopied(false), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [copied]);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setCopied(true);
      tell({ text: strings.copied(label), lastsMs: SHOWN_MS });
    } catch {
      tell(strings.cannotCopy);
    }
  };
  const Icon = copied ? Check : Copy;
  return (
    <IconButton small label={strings.copy(label)} onClick={() => void copy()} className={styles.copy}>
      <Icon size={14} aria-hidden="true" />
    </IconButton>
  );
}

/** A hash in digits of equal width; `short` shows so many of the first, and copies all. */
export function Hash({ value, short, label }: { value: string; short?: number; label: string }) {
  return (
    <span className={styles.hash}>
      <code title={value}>{short ? value.slice(0, short) : value}</code>
      <CopyButton text={value} label={label} />
    </span>
  );
}
