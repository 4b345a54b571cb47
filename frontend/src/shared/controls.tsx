import { Search } from "lucide-react";
import {
  type ButtonHTMLAttributes,
  type InputHTMLAttributes,
  type ReactNode,
  type Ref,
  type SelectHTMLAttributes,
  type TextareaHTMLAttributes,
  useId,
} from "react";
import { common } from "@/strings/common";
import { classes } from "./classes";
import styles from "./controls.module.css";
import { codePoints, count } from "./format";

export type ButtonKind = "plain" | "primary" | "danger" | "quiet";

interface ButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  kind?: ButtonKind;
  small?: boolean;
  /** Shows that it works, and takes no second press; it keeps the focus. */
  busy?: boolean;
}

/** The classes of a button, for a link that looks like one. */
export function buttonClass(kind: ButtonKind = "plain", small = false, icon = false): string {
  return classes(styles.button, kind !== "plain" && styles[kind], small && styles.small, icon && styles.icon);
}

export function Button({ kind = "plain", small, busy, children, className, onClick, ...rest }: ButtonProps) {
  return (
    <button
      type="button"
      {...rest}
      className={classes(buttonClass(kind, small), className)}
      aria-disabled={busy || undefined}
      onClick={busy ? (event) => event.preventDefault() : onClick}
    >
      {busy && <Spinner />}
      {children}
    </button>
  );
}

interface IconButtonProps extends Omit<ButtonProps, "children" | "aria-label"> {
  ref?: Ref<HTMLButtonElement>;
  /** What it does: its name for those who do not see it, and its tooltip. */
  label: string;
  children: ReactNode;
}

export function IconButton({
  label,
  kind = "quiet",
  small,
  busy,
  children,
  className,
  ...rest
}: IconButtonProps) {
  return (
    <button
      type="button"
      {...rest}
      aria-label={label}
      title={label}
      aria-disabled={busy || undefined}
      className={classes(buttonClass(kind, small, true), className)}
    >
      {busy ? <Spinner /> : children}
    </button>
  );
}

export function Spinner() {
  return <span className={styles.spinner} aria-hidden="true" />;
}

interface FieldProps {
  label: string;
  hint?: ReactNode;
  error?: string | null | undefined;
  /** At the label's right: a counter, "optional". */
  side?: ReactNode;
}

interface Ids {
  id: string;
  "aria-describedby": string | undefined;
  "aria-invalid": true | undefined;
}

function Field({ label, hint, error, side, children }: FieldProps & { children: (ids: Ids) => ReactNode }) {
  const id = useId();
  const about = [side && `${id}-side`, hint && `${id}-hint`, error && `${id}-error`]
    .filter(Boolean)
    .join(" ");
  return (
    <div className={styles.field}>
      {/* Beside the label, not in it: the field's name must not change with every letter. */}
      <div className={styles.label}>
        <label htmlFor={id}>{label}</label>
        {side && (
          <span id={`${id}-side`} className={styles.side}>
            {side}
          </span>
        )}
      </div>
      {children({ id, "aria-describedby": about || undefined, "aria-invalid": error ? true : undefined })}
      {hint && (
        <p id={`${id}-hint`} className={styles.hint}>
          {hint}
        </p>
      )}
      {error && (
        <p id={`${id}-error`} className={styles.error} role="alert">
          {error}
        </p>
      )}
    </div>
  );
}

type TextFieldProps = FieldProps & Omit<InputHTMLAttributes<HTMLInputElement>, "id" | "className">;

export function TextField({ label, hint, error, side, ...rest }: TextFieldProps) {
  return (
    <Field label={label} hint={hint} error={error} side={side}>
      {(ids) => <input type="text" {...rest} {...ids} className={styles.input} />}
    </Field>
  );
}

type TextAreaFieldProps = FieldProps & Omit<TextareaHTMLAttributes<HTMLTextAreaElement>, "id" | "className">;

export function TextAreaField({ label, hint, error, side, ...rest }: TextAreaFieldProps) {
  return (
    <Field label={label} hint={hint} error={error} side={side}>
      {(ids) => <textarea {...rest} {...ids} className={styles.input} />}
    </Field>
  );
}

type SelectFieldProps = FieldProps & Omit<SelectHTMLAttributes<HTMLSelectElement>, "id" | "className">;

export function SelectField({ label, hint, error, side, children, ...rest }: SelectFieldProps) {
  return (
    <Field label={label} hint={hint} error={error} side={side}>
      {(ids) => (
        <select {...rest} {...ids} className={styles.input}>
          {children}
        </select>
      )}
    </Field>
  );
}

interface FilterFieldProps extends Omit<SelectHTMLAttributes<HTMLSelectElement>, "aria-label" | "className"> {
  label: string;
}

/** A choice beside a search: its options say what it is about. */
export function FilterField({ label, children, ...rest }: FilterFieldProps) {
  return (
    <select {...rest} aria-label={label} className={classes(styles.input, styles.filter)}>
      {children}
    </select>
  );
}

/** How many code points were written of how many, as the API counts them. */
export function Counter({ text, limit }: { text: string; limit: number }) {
  const used = codePoints(text);
  return (
    <span className={classes(used > limit && styles.over)}>
      {count(used)} / {count(limit)}
    </span>
  );
}

interface SearchFieldProps {
  label: string;
  value: string;
  onChange: (value: string) => void;
}

export function SearchField({ label, value, onChange }: SearchFieldProps) {
  return (
    <div className={styles.search}>
      <Search size={16} aria-hidden="true" />
      <input
        type="search"
        className={styles.input}
        aria-label={label}
        placeholder={common.search}
        value={value}
        onChange={(event) => onChange(event.target.value)}
      />
    </div>
  );
}
