import { Button, Counter, SelectField, TextAreaField, TextField } from "@/shared/controls";
import { clone as words } from "@/strings/clone";
import { common } from "@/strings/common";
import styles from "./Clone.module.css";
import type { Fields, Problems } from "./fields";
import { NAME_CHARACTERS } from "./fields";

interface VoiceFieldsProps {
  fields: Fields;
  languages: readonly string[];
  problems: Problems;
  disabled: boolean;
  change: (some: Partial<Fields>) => void;
}

/** What the voice is called, and what is said in its recording. */
export function VoiceFields({ fields, languages, problems, disabled, change }: VoiceFieldsProps) {
  return (
    <>
      <div className={styles.named}>
        <TextField
          label={words.name}
          value={fields.name}
          autoComplete="off"
          disabled={disabled}
          error={problems.name}
          side={
            fields.name.length > NAME_CHARACTERS / 2 && <Counter text={fields.name} limit={NAME_CHARACTERS} />
          }
          onChange={(event) => change({ name: event.target.value })}
        />
        <SelectField
          label={words.language}
          value={fields.language}
          hint={words.languageHint}
          disabled={disabled}
          onChange={(event) => change({ language: event.target.value })}
        >
          {(languages.includes(fields.language) ? languages : [fields.language, ...languages]).map(
            (language) => (
              <option key={language}>{language}</option>
            ),
          )}
        </SelectField>
      </div>
      <div className={styles.aloud}>
        <TextAreaField
          label={words.transcript}
          value={fields.transcript}
          hint={problems.transcript ? undefined : words.transcriptHint}
          rows={5}
          disabled={disabled}
          error={problems.transcript}
          onChange={(event) => change({ transcript: event.target.value })}
        />
        {fields.transcript.trim() === "" && (
          <Button small disabled={disabled} onClick={() => change({ transcript: words.aloudText })}>
            {words.aloud}
          </Button>
        )}
      </div>
      <TextField
        label={words.description}
        value={fields.description}
        side={common.optional}
        hint={words.descriptionHint}
        disabled={disabled}
        onChange={(event) => change({ description: event.target.value })}
      />
      <fieldset className={styles.consent} disabled={disabled}>
        <legend>{words.consent}</legend>
        <label className={styles.tick}>
          <input
            type="checkbox"
            checked={fields.consent}
            aria-invalid={problems.consent ? true : undefined}
            aria-describedby="consent-about"
            onChange={(event) => change({ consent: event.target.checked })}
          />
          <span>{words.consentStatement}</span>
        </label>
        <p id="consent-about" className={problems.consent ? styles.wrong : styles.quiet}>
          {problems.consent ?? words.consentHint}
        </p>
        {fields.consent && (
          <TextField
            label={words.consentName}
            value={fields.consentName}
            autoComplete="off"
            maxLength={NAME_CHARACTERS}
            error={problems.consentName}
            onChange={(event) => change({ consentName: event.target.value })}
          />
        )}
      </fieldset>
    </>
  );
}
