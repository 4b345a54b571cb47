import { GoTrueClient, type Session } from "@supabase/auth-js";
import { ApiError } from "@/shared/problems";
import { common } from "@/strings/common";
import { studio } from "@/strings/studio";
import { authOrigin } from "../api/config";
import { Issuer } from "./issuer";
import { keeper, noteLeaving, SESSION_KEY, secondsLeft, storedSession } from "./keeping";

/** A token with less is renewed, and used meanwhile. */
const RENEW_AT_S = 90;
/** A token with less is not sent: it could be over when it arrives. */
const USELESS_AT_S = 5;
/** After a renewal that nobody answered, as long as the token at hand is still good. */
const PAUSE_MS = 5000;

interface Accounts {
  client: GoTrueClient;
  issuer: Issuer;
}

let accounts: Promise<Accounts> | null = null;
let renewing: Promise<Session | null> | null = null;
let pausedUntil = 0;
/** Whom this page belongs to: its forms and lists are theirs, so nobody else's token is sent from it. */
let owner: string | null = null;
const changes = new Set<() => void>();

function open(): Promise<Accounts> {
  accounts ??= authOrigin().then(({ url, key }) => {
    const issuer = new Issuer(`${url || window.location.origin}/auth/v1`, key);
    const client = new GoTrueClient({
      url: issuer.url,
      headers: key ? { apikey: key } : {},
      storageKey: SESSION_KEY,
      storage: keeper,
      fetch: issuer.fetch,
      persistSession: true,
      // Renewed below, under a lock that all tabs share: a refresh token is good once, and auth-js takes no lock.
      autoRefreshToken: false,
      detectSessionInUrl: false,
    });
    return { client, issuer };
  });
  const opening = accounts;
  opening.catch(() => {
    if (accounts === opening) accounts = null;
  });
  return opening;
}

/** auth-js' client, with a token that is good for the call that follows. */
export async function auth(): Promise<GoTrueClient> {
  return (await open()).client;
}

/**
 * The token to send; null where nobody is signed in.
 *
 * @throws ApiError - 401 when the page's session is over or the browser's session is another person's by now;
 *   0 or 503 when it had to be renewed and the issuer is away, which ends nothing.
 */
export async function accessToken(): Promise<string | null> {
  const kept = storedSession();
  if (owner !== null && kept?.user.id !== owner) {
    changed();
    throw new ApiError(401, studio.session.ended);
  }
  if (kept === null) return null;
  const left = secondsLeft(kept);
  if (left > Math.min(RENEW_AT_S, (kept.expires_in ?? RENEW_AT_S) / 3)) return kept.access_token;
  if (left > USELESS_AT_S) {
    if (Date.now() >= pausedUntil) renewed().catch(() => undefined);
    return kept.access_token;
  }
  return (await renewed())?.access_token ?? ended();
}

/** A token in place of one that the service refused; null when it is the session that is over. */
export async function accessTokenInsteadOf(refused: string): Promise<string | null> {
  const kept = storedSession();
  if (kept === null || (owner !== null && kept.user.id !== owner)) return null;
  if (kept.access_token !== refused) return kept.access_token;
  const session = await renewed(refused);
  return session && session.access_token !== refused ? session.access_token : null;
}

function ended(): never {
  changed();
  throw new ApiError(401, studio.session.ended);
}

function renewed(refused?: string): Promise<Session | null> {
  renewing ??= alone(() => renew(refused)).finally(() => {
    renewing = null;
  });
  return renewing;
}

/** One tab at a time; the next one finds what this one got. */
async function alone<T>(work: () => Promise<T>): Promise<T> {
  // Only a page that came by https, or from this machine, has locks.
  return navigator.locks ? await navigator.locks.request(`${SESSION_KEY}.renewal`, work) : await work();
}

async function renew(refused?: string): Promise<Session | null> {
  const { client, issuer } = await open();
  const kept = storedSession();
  if (kept === null) return null;
  const another = refused === undefined ? secondsLeft(kept) > RENEW_AT_S : kept.access_token !== refused;
  if (another) return kept;
  try {
    const answer = await issuer.ask(kept.refresh_token);
    pausedUntil = 0;
    await issuer.handing(kept.refresh_token, answer, () =>
      client.refreshSession({ refresh_token: kept.refresh_token }),
    );
    // Refused while the token has seconds to live, auth-js keeps it: it is asked again when they are over.
    if (!answer.ok) pausedUntil = Date.now() + PAUSE_MS;
  } catch (error) {
    pausedUntil = Date.now() + PAUSE_MS;
    throw error instanceof ApiError ? error : new ApiError(0, common.unreachable);
  }
  changed();
  return storedSession();
}

/** Says whose page this is; null: nobody's. */
export function ownedBy(userId: string | null): void {
  owner = userId;
}

/**
 * Signs out here, whether the service is there or not: auth-js would first renew an expired session, for half a
 * minute where nobody answers.
 */
export function leave(): void {
  const kept = storedSession();
  noteLeaving(kept?.user.id ?? owner);
  keeper.removeItem(SESSION_KEY);
  changed();
  if (kept) {
    open()
      .then(({ issuer }) => issuer.leave(kept.access_token))
      .catch(() => undefined);
  }
}

/** Called when the service takes no token of this session any more. */
export function sessionEnded(): void {
  keeper.removeItem(SESSION_KEY);
  changed();
}

function changed(): void {
  for (const told of changes) told();
}

/** Calls `told` when the session that is kept may be another one. */
export function onChange(told: () => void): () => void {
  changes.add(told);
  return () => changes.delete(told);
}
