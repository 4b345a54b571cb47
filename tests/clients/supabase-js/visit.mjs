// Walks through an issuer as an application does; prints one JSON document of what it saw.
import { createClient } from "@supabase/supabase-js";

// Only realtime needs a WebSocket, which older Node lacks; nothing here opens one.
class NoSocket {}
const options = {
  auth: { persistSession: false, autoRefreshToken: false },
  realtime: { transport: globalThis.WebSocket ?? NoSocket },
};
const connect = () => createClient(process.env.SUPABASE_URL, "anon-key-unused-by-the-issuer", options);

const seen = {};
const email = `js-${Date.now()}-${Math.random().toString(16).slice(2)}@example.org`;
const password = "first-password";

function good(step, { data, error }) {
  if (error) throw new Error(`${step}: ${error.status} ${error.code} ${error.message}`);
  seen[step] = true;
  return data;
}

function refused(step, { error }) {
  if (!error) throw new Error(`${step}: was not refused`);
  seen[step] = { status: error.status, code: error.code };
}

const first = connect();
const signed = good("signUp", await first.auth.signUp({ email, password, options: { data: { name: "Ann" } } }));
if (!signed.session?.access_token || signed.user.user_metadata.name !== "Ann") throw new Error("no session");
refused("signUpTwice", await first.auth.signUp({ email, password }));
refused("weakPassword", await connect().auth.signUp({ email: `x${email}`, password: "short" }));

const second = connect();
refused("wrongPassword", await second.auth.signInWithPassword({ email, password: "not it" }));
good("signInWithPassword", await second.auth.signInWithPassword({ email, password }));
const { data: held } = await second.auth.getSession();

const me = good("getUser", await second.auth.getUser());
if (me.user.email !== email) throw new Error("another user");
const claims = good("getClaims", await second.auth.getClaims());
if (claims.claims.sub !== me.user.id) throw new Error("other claims");

const refreshed = good("refreshSession", await second.auth.refreshSession());
if (refreshed.session.refresh_token === held.session.refresh_token) throw new Error("the token was not rotated");

const renamed = good("updateMetadata", await second.auth.updateUser({ data: { name: "Anna", city: "Bath" } }));
if (renamed.user.user_metadata.city !== "Bath") throw new Error("no metadata");
const dropped = good("dropMetadata", await second.auth.updateUser({ data: { city: null } }));
if ("city" in dropped.user.user_metadata || dropped.user.user_metadata.name !== "Anna") throw new Error("not merged");
refused("samePassword", await second.auth.updateUser({ password }));
refused("newEmail", await second.auth.updateUser({ email: `new-${email}` }));
good("updatePassword", await second.auth.updateUser({ password: "second-password" }));
refused("sessionElsewhere", await first.auth.refreshSession());
refused("oldPassword", await connect().auth.signInWithPassword({ email, password }));
refused("resetPassword", await second.auth.resetPasswordForEmail(email));

const third = connect();
good("signInAgain", await third.auth.signInWithPassword({ email, password: "second-password" }));
good("signOutOthers", await third.auth.signOut({ scope: "others" }));
refused("signedOutElsewhere", await second.auth.refreshSession());
good("stillHere", await third.auth.getUser());
const { data: last } = await third.auth.getSession();
good("signOutLocal", await third.auth.signOut({ scope: "local" }));
refused("signedOut", await connect().auth.refreshSession({ refresh_token: last.session.refresh_token }));

const fourth = connect();
const session = good("signInOnceMore", await fourth.auth.signInWithPassword({ email, password: "second-password" }));
const answer = await fetch(`${process.env.SUPABASE_URL}/api/me`, {
  headers: { Authorization: `Bearer ${session.session.access_token}` },
});
seen.api = (await answer.json()).user.id === me.user.id;
good("signOutGlobal", await fourth.auth.signOut());
console.log(JSON.stringify(seen));
