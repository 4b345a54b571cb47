import { vi } from "vitest";

/** An issuer as ours is: refresh tokens are good once, and a second use ends the session. */
export class FakeIssuer {
  /** What the next calls to `/token` are answered with instead. */
  away: (() => Response | Promise<Response>) | null = null;
  refreshes = 0;
  refusesApi = new Set<string>();
  sent: { path: string; token: string | null }[] = [];
  private number = 0;
  private readonly good = new Map<string, string>();
  private readonly used = new Set<string>();

  constructor(
    readonly lifetimeS = 3600,
    /** How far the issuer's clock is ahead of this device's. */
    readonly aheadS = 0,
  ) {}

  session(user: string) {
    this.number += 1;
    const refresh = `refresh-${this.number}`;
    this.good.set(refresh, user);
    return {
      access_token: `access-${this.number}-${user}`,
      refresh_token: refresh,
      token_type: "bearer",
      expires_in: this.lifetimeS,
      expires_at: Math.floor(Date.now() / 1000) + this.aheadS + this.lifetimeS,
      user: {
        id: user,
        email: `${user}@example.org`,
        aud: "authenticated",
        app_metadata: {},
        user_metadata: {},
      },
    };
  }

  revoke(): void {
    this.good.clear();
  }

  install(): void {
    vi.stubGlobal("fetch", (input: RequestInfo | URL, init?: RequestInit) => this.answer(input, init));
  }

  private async answer(input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
    const request = new Request(
      input instanceof Request ? input : new URL(input, window.location.origin),
      init,
    );
    const url = new URL(request.url);
    const token = request.headers.get("Authorization")?.replace("Bearer ", "") ?? null;
    this.sent.push({ path: url.pathname, token });
    if (url.pathname === "/api/config") {
      return Response.json({ auth: { url: "", key: "embedded" }, sign_up: true });
    }
    if (url.pathname === "/auth/v1/token") {
      if (url.searchParams.get("grant_type") === "refresh_token") {
        this.refreshes += 1;
        if (this.away) return this.away();
        const { refresh_token } = (await request.json()) as { refresh_token: string };
        // As long as an answer takes: others may ask meanwhile.
        await new Promise((done) => setTimeout(done, 2));
        return this.refresh(refresh_token);
      }
      const { email, password } = (await request.json()) as { email: string; password: string };
      if (password === "wrong") {
        const refused = { code: 400, error_code: "invalid_credentials", msg: "Invalid login credentials" };
        return Response.json(refused, { status: 400 });
      }
      return Response.json(this.session(email.replace("@example.org", "")));
    }
    if (url.pathname === "/auth/v1/logout") return new Response(null, { status: 204 });
    if (token === null || this.refusesApi.has(token)) {
      return Response.json({ detail: "Invalid or expired token" }, { status: 401 });
    }
    return Response.json({ token });
  }

  private refresh(token: string): Response {
    const user = this.good.get(token);
    if (user === undefined || this.used.has(token)) {
      this.good.clear();
      const code = this.used.has(token) ? "refresh_token_already_used" : "refresh_token_not_found";
      return Response.json({ code: 400, error_code: code, msg: "Invalid Refresh Token" }, { status: 400 });
    }
    this.used.add(token);
    return Response.json(this.session(user));
  }
}

/** The lock that all tabs of a browser share; jsdom has none. */
export function shareLocks(): void {
  let last: Promise<unknown> = Promise.resolve();
  const request = (_: string, work: () => Promise<unknown>) => {
    const mine = last.then(work, work);
    last = mine.catch(() => undefined);
    return mine;
  };
  Object.defineProperty(navigator, "locks", { configurable: true, value: { request } });
}

export function keep(session: object, expiresInS?: number): void {
  const at = expiresInS === undefined ? {} : { expires_at: Math.floor(Date.now() / 1000) + expiresInS };
  localStorage.setItem("understudy.session", JSON.stringify({ ...session, ...at }));
}

export function kept(): { access_token: string; refresh_token: string; expires_at: number } | null {
  return JSON.parse(localStorage.getItem("understudy.session") ?? "null");
}
