/** What the service answered instead of what was asked for. */
export class ApiError extends Error {
  override readonly name = "ApiError";

  constructor(
    /** HTTP status; 0 when no answer came. */
    readonly status: number,
    /** The one sentence of the answer. */
    readonly detail: string,
    /** Seconds after which it may be tried again; null when the answer does not say. */
    readonly retryAfterS: number | null = null,
  ) {
    super(detail);
  }

  get unreachable(): boolean {
    return this.status === 0;
  }

  get unauthenticated(): boolean {
    return this.status === 401;
  }

  get retryable(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 502 || this.retryAfterS !== null;
  }
}

/** Turns an answer that is not a success into an {@link ApiError}; never trusts the body's shape. */
export async function problemOf(response: Response, fallback: string): Promise<ApiError> {
  let detail = fallback;
  try {
    const body: unknown = await response.clone().json();
    if (typeof body === "object" && body !== null && "detail" in body && typeof body.detail === "string") {
      detail = body.detail;
    }
  } catch {
    // Not JSON: a proxy answered. Its page is not for people.
  }
  const after = Number(response.headers.get("Retry-After"));
  const retryAfterS = response.headers.has("Retry-After") && Number.isFinite(after) ? after : null;
  return new ApiError(response.status, detail, retryAfterS);
}

/** The sentence to show for anything that was thrown. */
export function sentenceOf(error: unknown, fallback: string): string {
  return error instanceof ApiError ? error.detail : fallback;
}
