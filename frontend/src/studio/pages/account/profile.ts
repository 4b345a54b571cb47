import { codePoints } from "@/shared/format";
import { account as words } from "@/strings/account";
import type { Schemas } from "../../api/client";

export interface ProfileFields {
  handle: string;
  displayName: string;
  avatar: string;
}

export type ProfileProblems = Partial<Record<keyof ProfileFields, string>>;

export function fieldsOf(profile: Schemas["Profile"]): ProfileFields {
  return {
    handle: profile.handle ?? "",
    displayName: profile.display_name ?? "",
    avatar: profile.avatar_url ?? "",
  };
}

/** What differs from the profile as it is; nothing else is sent. */
export function changesOf(profile: Schemas["Profile"], fields: ProfileFields): Schemas["ProfileChanges"] {
  const before = fieldsOf(profile);
  const changes: Partial<Schemas["ProfileChanges"]> = {};
  if (fields.handle.trim() !== before.handle) changes.handle = fields.handle.trim();
  if (fields.displayName.trim() !== before.displayName) changes.display_name = fields.displayName.trim();
  if (fields.avatar.trim() !== before.avatar) changes.avatar_url = fields.avatar.trim() || null;
  return changes as Schemas["ProfileChanges"];
}

/** What the service would refuse of the changes. */
export function profileProblems(changes: Schemas["ProfileChanges"]): ProfileProblems {
  const problems: ProfileProblems = {};
  if (changes.handle !== undefined && !/^[A-Za-z0-9_]{3,30}$/.test(changes.handle)) {
    problems.handle = words.problems.handle;
  }
  if (changes.display_name !== undefined) {
    const characters = codePoints(changes.display_name);
    if (characters < 1 || characters > 100) problems.displayName = words.problems.displayName;
  }
  if (changes.avatar_url && !isWebAddress(changes.avatar_url)) problems.avatar = words.problems.avatar;
  return problems;
}

function isWebAddress(text: string): boolean {
  return /^https?:\/\/\S+$/.test(text) && URL.canParse(text);
}

/** At which field the service's sentence belongs: each begins with the field's name. */
export function fieldOfRefusal(sentence: string): keyof ProfileFields | null {
  const said = sentence.toLowerCase();
  if (said.startsWith("handle")) return "handle";
  if (said.startsWith("display")) return "displayName";
  return said.startsWith("avatar") ? "avatar" : null;
}
