import { ApiError } from "@/shared/problems";

/** An upload that was begun: the same recording is never sent, or paid for, twice. */
export interface Pending {
  voiceId: string;
  uploadUrl: string;
  uploaded: boolean;
}

export interface Made {
  id: string;
  name: string;
  degraded: boolean;
}

export type Stage =
  | { name: "preparing" }
  | { name: "uploading"; sent: number; of: number }
  | { name: "creating"; since: number; waiting: boolean };

/** What is done by others, so that all of it can be tried here. */
export interface Means {
  ticket: (signal: AbortSignal) => Promise<{ voice_id: string; upload_url: string }>;
  put: (url: string, progress: (sent: number, of: number) => void, signal: AbortSignal) => Promise<void>;
  finalize: (
    voiceId: string,
    signal: AbortSignal,
  ) => Promise<{ id: string; name: string; degraded?: boolean }>;
  /** Called with each step that must outlive a reload. */
  keep: (pending: Pending | null) => void;
  told: (stage: Stage) => void;
  pause: (ms: number, signal: AbortSignal) => Promise<void>;
  now: () => number;
}

/** A link that expired, and an upload that is not there after all, are each worth one more. */
const UPLOADS = 2;
/** An answer that was lost is asked for again: the voice is made once, however often it is asked for. */
const ANSWERS_LOST = 3;
const AGAIN_MS = 2000;
/** As long as an enrolment may take. */
const UNDER_WAY_MS = 90_000;

const NOT_UPLOADED = "Audio file not uploaded.";
const DELETED = "This voice was deleted.";

/** Whether the recording must be uploaded anew, under another voice's id. */
function mustStartOver(error: unknown): boolean {
  return error instanceof ApiError && [NOT_UPLOADED, DELETED].includes(error.detail);
}

/** Uploads what was not uploaded yet, and makes the voice; may be called again after any failure. */
export async function send(begun: Pending | null, means: Means, signal: AbortSignal): Promise<Made> {
  let pending = begun;
  for (let tries = 1; ; tries += 1) {
    pending = await upload(pending, means, signal);
    try {
      const made = await finalize(pending.voiceId, means, signal);
      means.keep(null);
      return { id: made.id, name: made.name, degraded: made.degraded ?? false };
    } catch (error) {
      if (!mustStartOver(error) || tries >= UPLOADS) throw error;
      pending = null;
      means.keep(null);
    }
  }
}

async function upload(begun: Pending | null, means: Means, signal: AbortSignal): Promise<Pending> {
  if (begun?.uploaded) return begun;
  let link = begun;
  for (let tries = 1; ; tries += 1) {
    if (link === null) {
      const ticket = await means.ticket(signal);
      link = { voiceId: ticket.voice_id, uploadUrl: ticket.upload_url, uploaded: false };
      means.keep(link);
    }
    try {
      await means.put(link.uploadUrl, (sent, of) => means.told({ name: "uploading", sent, of }), signal);
    } catch (error) {
      const status = error instanceof ApiError ? error.status : null;
      // 409: it lies there already, only the answer was lost. 403: the link is too old.
      if (status === 403 && tries < UPLOADS) {
        link = null;
        means.keep(null);
        continue;
      }
      if (status !== 409) throw error;
    }
    const done = { ...link, uploaded: true };
    means.keep(done);
    return done;
  }
}

async function finalize(voiceId: string, means: Means, signal: AbortSignal) {
  const since = means.now();
  let lost = 0;
  for (;;) {
    means.told({ name: "creating", since, waiting: lost > 0 });
    try {
      return await means.finalize(voiceId, signal);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      const underWay = error.status === 409 && error.detail.includes("being created already");
      if (error.unreachable) lost += 1;
      const again = underWay ? means.now() - since < UNDER_WAY_MS : error.unreachable && lost <= ANSWERS_LOST;
      if (!again) throw error;
    }
    await means.pause(AGAIN_MS, signal);
  }
}
