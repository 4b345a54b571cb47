import { Eye, EyeOff } from "lucide-react";
import { type ComponentProps, type KeyboardEvent, useState } from "react";
import { IconButton, TextField } from "@/shared/controls";
import { signIn as words } from "@/strings/sign-in";
import styles from "./PasswordField.module.css";

type PasswordFieldProps = Omit<ComponentProps<typeof TextField>, "type" | "side">;

/** A password that can be looked at, and that says when Caps Lock would spoil it. */
export function PasswordField({ hint, ...rest }: PasswordFieldProps) {
  const [shown, setShown] = useState(false);
  const [caps, setCaps] = useState(false);
  const look = (event: KeyboardEvent<HTMLInputElement>) => setCaps(event.getModifierState("CapsLock"));
  return (
    <div className={styles.field}>
      <TextField
        {...rest}
        type={shown ? "text" : "password"}
        hint={caps ? words.capsLock : hint}
        autoCapitalize="off"
        autoCorrect="off"
        spellCheck={false}
        maxLength={512}
        onKeyUp={look}
        onBlur={() => setCaps(false)}
      />
      <span className={styles.eye}>
        <IconButton
          small
          label={shown ? words.hide : words.show}
          aria-pressed={shown}
          onClick={() => setShown(!shown)}
        >
          {shown ? <EyeOff size={16} aria-hidden="true" /> : <Eye size={16} aria-hidden="true" />}
        </IconButton>
      </span>
    </div>
  );
}
