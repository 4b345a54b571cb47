import { expect, test } from "vitest";
import type { Schemas } from "@/studio/api/client";
import { changesOf, fieldOfRefusal, fieldsOf, profileProblems } from "@/studio/pages/account/profile";

const PROFILE: Schemas["Profile"] = {
  id: "1",
  handle: "ada",
  display_name: "Ada",
  avatar_url: "https://example.org/ada.png",
  created_at: "",
  updated_at: "",
  credits_remaining: 100,
  subscription_tier: "free",
};

test("only what was changed is sent", () => {
  const fields = fieldsOf(PROFILE);
  expect(changesOf(PROFILE, fields)).toEqual({});
  expect(changesOf(PROFILE, { ...fields, displayName: " Ada L. " })).toEqual({ display_name: "Ada L." });
  expect(changesOf(PROFILE, { ...fields, avatar: "" })).toEqual({ avatar_url: null });
});

test("what the service would refuse is said at its field", () => {
  expect(profileProblems({ handle: "a b", display_name: "", avatar_url: "ada.png" })).toEqual({
    handle: expect.any(String),
    displayName: expect.any(String),
    avatar: expect.any(String),
  });
  expect(profileProblems({ handle: "ada_2", display_name: "Ada", avatar_url: null })).toEqual({});
});

test("what the service refuses is shown at its field", () => {
  expect(fieldOfRefusal("Handle is already taken.")).toBe("handle");
  expect(fieldOfRefusal("Display name must have 1 to 100 characters.")).toBe("displayName");
  expect(fieldOfRefusal("Avatar URL must be an http or https URL.")).toBe("avatar");
  expect(fieldOfRefusal("Changes are paused for maintenance.")).toBeNull();
});
