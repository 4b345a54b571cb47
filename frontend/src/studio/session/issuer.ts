import { ApiError } from "@/shared/problems";
import { common } from "@/strings/common";

/** Of a refresh: only these say that the session is over. */
const DEFINITE = new Set([400, 401, 403, 404, 422]);

interface Handed {
  token: string;
  response: Response;
}

/**
 * The issuer's endpoints as auth-js is to see them.
 *
 * - `expires_at` is by the issuer's clock; without it auth-js counts `expires_in` from this device's own, so a
 *   clock that is wrong neither ends a session nor asks for a new one at every call.
 * - auth-js ends a session at any refusal of a refresh that is not 5xx, such as a proxy's page or a limit of
 *   rates. A refresh is therefore asked for here ({@link ask}), and auth-js is handed definite answers only.
 */
export class Issuer {
  private handed: Handed | null = null;

  constructor(
    readonly url: string,
    private readonly key: string,
  ) {}

  readonly fetch: typeof fetch = async (input, init) => {
    const address = String(input instanceof Request ? input.url : input);
    if (address.includes("grant_type=refresh_token")) {
      const token = refreshTokenIn(init?.body);
      if (this.handed !== null && this.handed.token === token) return this.handed.response.clone();
      return withoutServerTime(await definite(await fetch(input, init)));
    }
    return withoutServerTime(await fetch(input, init));
  };

  /**
   * Asks for the session that follows `token`; an answer that decides nothing is an {@link ApiError}.
   *
   * A refresh token is good once: an answer is never asked for twice while it may be under way.
   */
  async ask(token: string): Promise<Response> {
    let response: Response;
    try {
      response = await fetch(`${this.url}/token?grant_type=refresh_token`, {
        method: "POST",
        headers: { "Content-Type": "application/json", ...(this.key && { apikey: this.key }) },
        body: JSON.stringify({ refresh_token: token }),
      });
    } catch {
      throw new ApiError(0, common.unreachable);
    }
    const answer = await withoutServerTime(await definite(response));
    if (answer.status === 503) throw new ApiError(503, common.unreachable);
    return answer;
  }

  /** Ends the session of `token` at the issuer; whether it hears is not waited for. */
  leave(token: string): void {
    const headers = { Authorization: `Bearer ${token}`, ...(this.key && { apikey: this.key }) };
    fetch(`${this.url}/logout?scope=local`, { method: "POST", headers, keepalive: true }).catch(
      () => undefined,
    );
  }

  /** Runs `work` while auth-js' refresh of `token` is answered with `response`, however often it asks. */
  async handing<T>(token: string, response: Response, work: () => Promise<T>): Promise<T> {
    this.handed = { token, response };
    try {
      return await work();
    } finally {
      this.handed = null;
    }
  }
}

function refreshTokenIn(body: unknown): string | null {
  try {
    return (JSON.parse(String(body)) as { refresh_token?: string }).refresh_token ?? null;
  } catch {
    return null;
  }
}

/** The answer where it is the issuer's own and decides something, else one that says "away" in auth-js' terms. */
async function definite(response: Response): Promise<Response> {
  const body = await fieldsOf(response);
  if (response.ok && "access_token" in body) return response;
  const refused = "error_code" in body || "error_description" in body || typeof body.code === "string";
  if (refused && DEFINITE.has(response.status)) return response;
  return Response.json({ code: "unavailable", message: common.unreachable }, { status: 503 });
}

async function fieldsOf(response: Response): Promise<Record<string, unknown>> {
  try {
    const body: unknown = await response.clone().json();
    return typeof body === "object" && body !== null ? (body as Record<string, unknown>) : {};
  } catch {
    return {}; // A proxy's page.
  }
}

async function withoutServerTime(response: Response): Promise<Response> {
  if (!response.ok || !(response.headers.get("Content-Type") ?? "").includes("json")) return response;
  const body: unknown = await response.json();
  if (typeof body === "object" && body !== null) delete (body as { expires_at?: unknown }).expires_at;
  return Response.json(body, { status: response.status });
}
