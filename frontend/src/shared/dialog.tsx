import { X } from "lucide-react";
import { type FormEvent, type ReactNode, useEffect, useId, useRef, useState } from "react";
import { common } from "@/strings/common";
import { Button, type ButtonKind, IconButton, TextField } from "./controls";
import styles from "./layout.module.css";

interface DialogProps {
  title: string;
  open: boolean;
  /** Escape, the cross and a press outside; left out where there is no way around an answer. */
  onClose?: () => void;
  children: ReactNode;
}

/** The browser's own modal dialog: it keeps the focus, and gives it back. */
export function Dialog({ title, open, onClose, children }: DialogProps) {
  const element = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const dialog = element.current;
    if (!dialog) return;
    if (open && !dialog.open) dialog.showModal();
    if (!open && dialog.open) dialog.close();
  }, [open]);
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: Escape is the key for it, and `cancel` hears that.
    <dialog
      ref={element}
      className={styles.dialog}
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault();
        onClose?.();
      }}
      onClick={(event) => event.target === element.current && onClose?.()}
    >
      {open && (
        <div className={styles.dialogBody}>
          <div className={styles.dialogHead}>
            <h2 id={id}>{title}</h2>
            {onClose && (
              <IconButton small label={common.close} onClick={onClose}>
                <X size={18} aria-hidden="true" />
              </IconButton>
            )}
          </div>
          {children}
        </div>
      )}
    </dialog>
  );
}

export function DialogFoot({ children }: { children: ReactNode }) {
  return <div className={styles.dialogFoot}>{children}</div>;
}

interface ConfirmProps {
  title: string;
  open: boolean;
  children?: ReactNode;
  action: string;
  kind?: ButtonKind;
  /** A word that must be typed first. */
  typed?: string;
  busy?: boolean;
  onConfirm: () => void;
  onClose: () => void;
}

/** Asks before something that cannot be taken back. */
export function Confirm(props: ConfirmProps) {
  const { title, open, children, action, kind = "primary", typed, busy = false, onConfirm, onClose } = props;
  const [word, setWord] = useState("");
  useEffect(() => {
    if (open) setWord("");
  }, [open]);
  const ready = typed === undefined || word.trim() === typed;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (ready && !busy) onConfirm();
  };
  return (
    <Dialog title={title} open={open} onClose={onClose}>
      <form onSubmit={submit} className={styles.stack}>
        {children}
        {typed !== undefined && (
          <TextField
            label={common.typeToConfirm(typed)}
            value={word}
            autoComplete="off"
            spellCheck={false}
            onChange={(event) => setWord(event.target.value)}
          />
        )}
        <DialogFoot>
          <Button onClick={onClose}>{common.cancel}</Button>
          <Button type="submit" kind={kind} disabled={!ready} busy={busy}>
            {action}
          </Button>
        </DialogFoot>
      </form>
    </Dialog>
  );
}
