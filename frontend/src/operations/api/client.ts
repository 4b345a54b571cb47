import createClient, { type Middleware } from "openapi-fetch";
import { ApiError, problemOf } from "@/shared/problems";
import { common } from "@/strings/common";
import { operations } from "@/strings/operations";
import { operatorKey } from "../session/operator";
import type { components, paths } from "./schema";

export type Schemas = components["schemas"];

/** Under `npm run dev` the guard is behind this path. */
export const GUARD = import.meta.env.DEV ? "/guard" : "";

/** A `fetch` with the operator's key. */
export async function authorisedFetch(input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
  const request = new Request(input, init);
  const key = operatorKey();
  if (key !== null) request.headers.set("Authorization", `Bearer ${key}`);
  try {
    return await fetch(request);
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(0, operations.live.lost);
  }
}

const failing: Middleware = {
  async onResponse({ response }) {
    if (!response.ok) throw await problemOf(response, common.failed);
  },
};

/** The guard's API, typed by its own document; throws an {@link ApiError} unless a call succeeded. */
export const guard = createClient<paths>({ baseUrl: GUARD, fetch: (request) => authorisedFetch(request) });
guard.use(failing);

/** Unwraps an answer of {@link guard}. */
export async function answered<T>(call: Promise<{ data?: T }>): Promise<T> {
  const { data } = await call;
  return data as T;
}
