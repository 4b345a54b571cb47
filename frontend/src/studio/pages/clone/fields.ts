import { codePoints } from "@/shared/format";
import { clone as words } from "@/strings/clone";

export const NAME_CHARACTERS = 100;

export interface Fields {
  name: string;
  language: string;
  transcript: string;
  description: string;
  consent: boolean;
  consentName: string;
}

export const EMPTY: Fields = {
  name: "",
  language: "Auto",
  transcript: "",
  description: "",
  consent: false,
  consentName: "",
};

export type Problems = Partial<Record<"name" | "transcript" | "consent" | "consentName", string>>;

/** What is missing, before anything is sent. `consentRequired`: the service has asked for it. */
export function problemsOf(fields: Fields, consentRequired: boolean): Problems {
  const problems: Problems = {};
  if (fields.name.trim() === "") problems.name = words.problems.name;
  else if (codePoints(fields.name.trim()) > NAME_CHARACTERS) {
    problems.name = words.problems.nameLong(NAME_CHARACTERS);
  }
  if (fields.transcript.trim() === "") problems.transcript = words.problems.transcript;
  if (consentRequired && !fields.consent) problems.consent = words.consentRequired;
  if (fields.consent && fields.consentName.trim() === "") problems.consentName = words.problems.consentName;
  return problems;
}

/** Whether the service refused because it wants to know that the person who is heard agrees. */
export function asksForConsent(sentence: string | null): boolean {
  return sentence?.startsWith("The consent of the person who is heard is required") ?? false;
}
