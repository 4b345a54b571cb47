import createClient from "openapi-fetch";
import { send, throwing } from "@/shared/client";
import { operations } from "@/strings/operations";
import { operatorKey } from "../session/operator";
import type { components, paths } from "./schema";

export { answered } from "@/shared/client";
export type Schemas = components["schemas"];

/** Under `npm run dev` the guard is behind this path. */
export const GUARD = import.meta.env.DEV ? "/guard" : "";

/** A `fetch` with the operator's key. */
export function authorisedFetch(input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
  return send(new Request(input, init), operatorKey(), operations.live.lost);
}

/** The guard's API, typed by its own document; throws an `ApiError` unless a call succeeded. */
export const guard = createClient<paths>({ baseUrl: GUARD, fetch: (request) => authorisedFetch(request) });
guard.use(throwing);
