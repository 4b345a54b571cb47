import createClient from "openapi-fetch";
import { send, throwing } from "@/shared/client";
import { common } from "@/strings/common";
import { accessToken, accessTokenInsteadOf, sessionEnded } from "../session/auth";
import type { components, paths } from "./schema";

export { answered } from "@/shared/client";
export type Schemas = components["schemas"];

const PUBLIC = new Set(["/api/languages", "/api/notice", "/api/config", "/api/ready", "/api/health"]);

/** A `fetch` that knows who asks, and that answers a session's end by asking the person to sign in again. */
export async function authorisedFetch(input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
  const request = new Request(input, init);
  const open = PUBLIC.has(new URL(request.url).pathname);
  // The public ones say more to who is signed in, and are answered without as well.
  const token = open ? await accessToken().catch(() => null) : await accessToken();
  const again = token === null ? null : request.clone();
  const response = await send(request, token, common.unreachable);
  if (response.status !== 401 || open) return response;
  if (token === null || again === null) {
    sessionEnded();
    return response;
  }
  // A clock that is wrong, a key that changed: a new token may be taken where this one was not.
  const another = await accessTokenInsteadOf(token);
  const second = another === null ? response : await send(again, another, common.unreachable);
  if (second.status === 401) sessionEnded();
  return second;
}

/**
 * The API, typed by its own document. Every call throws an `ApiError` unless it succeeded, so
 * `data` is there: use {@link answered}.
 */
export const api = createClient<paths>({ fetch: (request) => authorisedFetch(request) });
api.use(throwing);
