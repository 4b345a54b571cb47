import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { ApiError } from "@/shared/problems";
import { FakeIssuer, keep, kept, shareLocks } from "./issuing";

/** A tab: its own copy of every module, the storage of all. */
async function tab() {
  vi.resetModules();
  const auth = await import("@/studio/session/auth");
  const client = await import("@/studio/api/client");
  return { ...auth, authorisedFetch: client.authorisedFetch };
}

let issuer: FakeIssuer;

beforeEach(() => {
  // Every tab is a client of its own, and auth-js warns of the second.
  vi.spyOn(console, "warn").mockImplementation(() => undefined);
  issuer = new FakeIssuer();
  issuer.install();
  shareLocks();
});

afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

const url = (path: string) => `${window.location.origin}${path}`;

test("a good token is sent without asking anybody", async () => {
  const session = issuer.session("ada");
  keep(session);
  const { accessToken } = await tab();
  expect(await accessToken()).toBe(session.access_token);
  expect(issuer.sent).toEqual([]);
});

test("an expired session is renewed, and kept by this device's clock", async () => {
  keep(issuer.session("ada"), -10);
  const { accessToken } = await tab();
  expect(await accessToken()).toBe("access-2-ada");
  expect(issuer.refreshes).toBe(1);
  expect(kept()?.access_token).toBe("access-2-ada");
});

test.each([-7200, 7200])(
  "an issuer whose clock is %i s off is asked once, not at every call",
  async (ahead) => {
    issuer = new FakeIssuer(3600, ahead);
    issuer.install();
    keep(issuer.session("ada"), -10);
    const { accessToken, auth } = await tab();
    await accessToken();
    for (let call = 0; call < 5; call += 1) await accessToken();
    expect(issuer.refreshes).toBe(1);
    const left = (kept()?.expires_at ?? 0) - Date.now() / 1000;
    expect(left).toBeGreaterThan(3500);
    expect(left).toBeLessThan(3700);
    await (await auth()).signInWithPassword({ email: "ada@example.org", password: "secret" });
    expect(Math.abs((kept()?.expires_at ?? 0) - Date.now() / 1000 - 3600)).toBeLessThan(5);
  },
);

const AWAY: [string, () => Response | Promise<Response>][] = [
  ["no connection", () => Promise.reject(new TypeError("Failed to fetch"))],
  ["503", () => Response.json({ code: 503, msg: "The database cannot be reached" }, { status: 503 })],
  ["a proxy's page", () => new Response("<h1>Bad gateway</h1>", { status: 502 })],
  ["a captive portal", () => new Response("<h1>Welcome</h1>", { headers: { "Content-Type": "text/html" } })],
  ["an unknown path", () => Response.json({ detail: "Not Found" }, { status: 404 })],
  [
    "a limit of rates",
    () => Response.json({ code: 429, error_code: "over_request_rate_limit" }, { status: 429 }),
  ],
  ["a gateway's key check", () => Response.json({ message: "Invalid API key" }, { status: 401 })],
];

test.each(AWAY)("a service that is away ends nothing: %s", async (_, away) => {
  keep(issuer.session("ada"), -10);
  issuer.away = away;
  const { accessToken, onChange } = await tab();
  const told = vi.fn();
  onChange(told);
  await expect(accessToken()).rejects.toSatisfy((error: ApiError) => [0, 503].includes(error.status));
  expect(kept()?.refresh_token).toBe("refresh-1");
  expect(told).not.toHaveBeenCalled();
  // Back: at once, not after auth-js' minute of sulking.
  issuer.away = null;
  expect(await accessToken()).toBe("access-2-ada");
});

test("a token that still counts is used while it is renewed, and while that fails", async () => {
  const session = issuer.session("ada");
  keep(session, 40);
  issuer.away = () => Promise.reject(new TypeError("Failed to fetch"));
  const { accessToken } = await tab();
  expect(await accessToken()).toBe(session.access_token);
  await vi.waitFor(() => expect(issuer.refreshes).toBe(1));
  expect(await accessToken()).toBe(session.access_token);
  expect(await accessToken()).toBe(session.access_token);
  expect(issuer.refreshes).toBe(1);
});

test("a session that is refused is over: one refusal, one word of it", async () => {
  keep(issuer.session("ada"), -10);
  issuer.revoke();
  const { accessToken, onChange, ownedBy } = await tab();
  ownedBy("ada");
  const told = vi.fn();
  onChange(told);
  await expect(accessToken()).rejects.toMatchObject({ status: 401 });
  expect(kept()).toBeNull();
  expect(told).toHaveBeenCalled();
  await expect(accessToken()).rejects.toMatchObject({ status: 401 });
  expect(issuer.refreshes).toBe(1);
});

test("many calls of two tabs renew once: a refresh token is good once", async () => {
  keep(issuer.session("ada"), -10);
  const one = await tab();
  const two = await tab();
  const tokens = await Promise.all([
    one.accessToken(),
    two.accessToken(),
    one.accessToken(),
    two.accessToken(),
  ]);
  expect(new Set(tokens)).toEqual(new Set(["access-2-ada"]));
  expect(issuer.refreshes).toBe(1);
});

test("a token that the service refuses is renewed once and the call repeated, body and all", async () => {
  const session = issuer.session("ada");
  keep(session);
  issuer.refusesApi.add(session.access_token);
  const { authorisedFetch } = await tab();
  const answer = await authorisedFetch(url("/api/generate"), { method: "POST", body: '{"text":"Hello"}' });
  expect(await answer.json()).toEqual({ token: "access-2-ada" });
});

test("a call refused twice ends the session; one refused while the issuer is away does not", async () => {
  const session = issuer.session("ada");
  keep(session);
  issuer.refusesApi.add(session.access_token).add("access-2-ada");
  issuer.away = () => Promise.reject(new TypeError("Failed to fetch"));
  const { authorisedFetch } = await tab();
  await expect(authorisedFetch(url("/api/voices"))).rejects.toMatchObject({ status: 0 });
  expect(kept()).not.toBeNull();
  issuer.away = null;
  expect((await authorisedFetch(url("/api/voices"))).status).toBe(401);
  expect(kept()).toBeNull();
});

test("a page sends nobody else's token", async () => {
  keep(issuer.session("ada"));
  const { accessToken, authorisedFetch, ownedBy } = await tab();
  ownedBy("ada");
  expect(await accessToken()).toBe("access-1-ada");
  keep(issuer.session("bob"));
  await expect(authorisedFetch(url("/api/voices"))).rejects.toMatchObject({ status: 401 });
  expect(issuer.sent).toEqual([]);
});

test("what is public is answered to a page whose session is over", async () => {
  const { authorisedFetch, ownedBy } = await tab();
  ownedBy("ada");
  await authorisedFetch(url("/api/config"));
  expect(issuer.sent).toEqual([{ path: "/api/config", token: null }]);
});
