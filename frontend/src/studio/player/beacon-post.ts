import { ApiError } from "@/shared/problems";
import { version } from "../../../package.json";
import { authorisedFetch, type Schemas } from "../api/client";
import { accessToken } from "../session/auth";
import type { Seen } from "./beacons";

const URL_OF_EVENTS = "/api/playback-events";
/** So seldom at most is a batch sent, and so many are in one: the service takes no more. */
export const EVERY_MS = 2000;
const BATCH = 50;
/** What is kept while the service cannot be told. */
const KEPT = 500;
const CLIENT = "studio-web";

type Beacon = Schemas["Beacon"];

export function beaconOf(generationId: string, seen: Seen): Beacon {
  return {
    generation_id: generationId,
    event: seen.kind,
    at: new Date(seen.at).toISOString(),
    position_ms: Math.max(0, Math.round(seen.positionMs)),
    client: CLIENT,
    client_version: version,
    ...(seen.detail ? { detail: seen.detail.slice(0, 500) } : {}),
  };
}

interface Sending {
  send: (body: string) => Promise<Response>;
  sendAtLast: (body: string, token: string | null) => void;
  token: () => Promise<string | null>;
}

const OVER_HTTP: Sending = {
  send: (body) => authorisedFetch(URL_OF_EVENTS, post(body)),
  // `navigator.sendBeacon` cannot say who sends; this outlives the page too.
  sendAtLast: (body, token) => {
    const init = post(body);
    const headers = { ...init.headers, ...(token ? { Authorization: `Bearer ${token}` } : {}) };
    void fetch(URL_OF_EVENTS, { ...init, headers, keepalive: true }).catch(() => undefined);
  },
  token: accessToken,
};

function post(body: string) {
  return { method: "POST", headers: { "Content-Type": "application/json" }, body };
}

/**
 * What players saw, on its way to the service: in batches, seldom, and again when no answer came.
 *
 * An event is known to the service by generation, kind and time: one sent twice counts once.
 */
export class BeaconPost {
  private waiting: Beacon[] = [];
  private timer: ReturnType<typeof setTimeout> | null = null;
  private notBefore = 0;
  private sending = false;
  private token: string | null = null;

  constructor(private readonly by: Sending = OVER_HTTP) {}

  add(generationId: string, seen: readonly Seen[]): void {
    if (seen.length === 0) return;
    this.waiting.push(...seen.map((one) => beaconOf(generationId, one)));
    this.waiting = this.waiting.slice(-KEPT);
    // For the moment when the page goes away, and cannot wait for it.
    void this.by.token().then(
      (token) => {
        this.token = token;
      },
      () => undefined,
    );
    this.schedule();
  }

  /** The page goes away: what waits is sent in a way that outlives it. */
  flush(): void {
    if (this.timer) clearTimeout(this.timer);
    this.timer = null;
    while (this.waiting.length > 0) {
      this.by.sendAtLast(JSON.stringify({ events: this.waiting.splice(0, BATCH) }), this.token);
    }
  }

  private schedule(): void {
    if (this.timer !== null || this.sending || this.waiting.length === 0) return;
    this.timer = setTimeout(
      () => {
        this.timer = null;
        void this.post();
      },
      Math.max(0, this.notBefore - Date.now()),
    );
  }

  private async post(): Promise<void> {
    const batch = this.waiting.slice(0, BATCH);
    if (batch.length === 0) return;
    this.sending = true;
    this.notBefore = Date.now() + EVERY_MS;
    let taken = false;
    try {
      const response = await this.by.send(JSON.stringify({ events: batch }));
      // What is refused as such will be refused again; the rest is worth another try.
      taken = response.ok || (response.status < 500 && response.status !== 429 && response.status !== 401);
      const after = Number(response.headers.get("Retry-After"));
      if (!taken && after > 0) this.notBefore = Date.now() + after * 1000;
    } catch (error) {
      if (!(error instanceof ApiError)) taken = true;
    }
    if (!taken) this.notBefore = Math.max(this.notBefore, Date.now() + 5 * EVERY_MS);
    else this.waiting = this.waiting.filter((one) => !batch.includes(one));
    this.sending = false;
    this.schedule();
  }
}
