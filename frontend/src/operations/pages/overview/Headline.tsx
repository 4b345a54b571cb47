import {
  CircleAlert,
  CircleCheck,
  CircleDashed,
  EyeOff,
  type LucideIcon,
  OctagonX,
  ShieldCheck,
} from "lucide-react";
import { classes } from "@/shared/classes";
import type { Tone } from "@/shared/layout";
import styles from "./Overview.module.css";
import { parted, type Sentence } from "./sentence";

const ICONS: Record<Tone, LucideIcon> = {
  pass: CircleCheck,
  fail: OctagonX,
  warn: CircleAlert,
  blind: EyeOff,
  info: ShieldCheck,
  idle: CircleDashed,
};

/** The state of speech, in large type. Read out when it changes. */
export function Headline({ sentence }: { sentence: Sentence }) {
  const Icon = ICONS[sentence.tone];
  const [first, rest] = parted(sentence.text);
  return (
    <div
      className={classes(styles.headline, styles[sentence.tone])}
      role="status"
      data-tone={sentence.tone}
      data-present={sentence.present}
    >
      <Icon size={36} aria-hidden="true" />
      <div>
        <p className={styles.sentence}>
          <strong>{together(first)}</strong>
          {rest && <span> {together(rest)}</span>}
        </p>
        {sentence.more.map((one) => (
          <p key={one}>{together(one)}</p>
        ))}
      </div>
    </div>
  );
}

/** A number stays on one line with its unit. */
function together(text: string): string {
  return text.replaceAll(/(\d) (%|s|min)(?=[\s.,;]|$)/g, "$1\u00a0$2");
}
