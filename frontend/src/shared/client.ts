import type { Middleware } from "openapi-fetch";
import { common } from "@/strings/common";
import { ApiError, problemOf } from "./problems";

/** Makes every call of a typed client throw an {@link ApiError} unless it succeeded. */
export const throwing: Middleware = {
  async onResponse({ response }) {
    if (!response.ok) throw await problemOf(response, common.failed);
  },
};

/** Unwraps an answer of a client that is {@link throwing}: its `data` is there. */
export async function answered<T>(call: Promise<{ data?: T }>): Promise<T> {
  const { data } = await call;
  return data as T;
}

/** Sends a request in the name of `bearer`; where no answer comes it throws `unreachable` as an {@link ApiError}. */
export async function send(request: Request, bearer: string | null, unreachable: string): Promise<Response> {
  if (bearer !== null) request.headers.set("Authorization", `Bearer ${bearer}`);
  try {
    return await fetch(request);
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(0, unreachable);
  }
}
