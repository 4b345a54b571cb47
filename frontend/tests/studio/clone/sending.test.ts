import { expect, test, vi } from "vitest";
import { ApiError } from "@/shared/problems";
import { type Means, type Pending, send } from "@/studio/pages/clone/sending";

interface Scene {
  means: Means;
  kept: (Pending | null)[];
  calls: string[];
}

function scene(over: Partial<{ put: (ApiError | null)[]; finalize: (ApiError | null)[] }> = {}): Scene {
  const kept: (Pending | null)[] = [];
  const calls: string[] = [];
  const puts = [...(over.put ?? [])];
  const ends = [...(over.finalize ?? [])];
  let tickets = 0;
  let now = 0;
  const means: Means = {
    ticket: async () => {
      tickets += 1;
      calls.push(`ticket ${tickets}`);
      return { voice_id: `voice-${tickets}`, upload_url: `/objects/${tickets}` };
    },
    put: async (url, progress) => {
      calls.push(`put ${url}`);
      progress(5, 10);
      const error = puts.shift();
      if (error) throw error;
    },
    finalize: async (id) => {
      calls.push(`finalize ${id}`);
      now += 1000;
      const error = ends.shift();
      if (error) throw error;
      return { id, name: "Ada" };
    },
    keep: (pending) => kept.push(pending),
    told: vi.fn(),
    pause: async (ms) => {
      now += ms;
    },
    now: () => now,
  };
  return { means, kept, calls };
}

const never = new AbortController().signal;
const lost = new ApiError(0, "no answer");

test("a recording is uploaded once and made once", async () => {
  const { means, calls, kept } = scene();
  expect(await send(null, means, never)).toEqual({ id: "voice-1", name: "Ada", degraded: false });
  expect(calls).toEqual(["ticket 1", "put /objects/1", "finalize voice-1"]);
  expect(kept.at(-1)).toBeNull();
  expect(means.told).toHaveBeenCalledWith({ name: "uploading", sent: 5, of: 10 });
});

test("an upload that failed goes on with its own link", async () => {
  const first = scene({ put: [lost] });
  await expect(send(null, first.means, never)).rejects.toBe(lost);
  const begun = first.kept.at(-1) ?? null;
  expect(begun).toMatchObject({ voiceId: "voice-1", uploaded: false });
  const second = scene();
  await send(begun, second.means, never);
  expect(second.calls).toEqual(["put /objects/1", "finalize voice-1"]);
});

test("an upload whose answer was lost lies there already", async () => {
  const { means, calls } = scene({ put: [new ApiError(409, "Audio was already uploaded here.")] });
  await send({ voiceId: "voice-0", uploadUrl: "/objects/0", uploaded: false }, means, never);
  expect(calls).toEqual(["put /objects/0", "finalize voice-0"]);
});

test("a link that expired is replaced, once", async () => {
  const expired = new ApiError(403, "The link has expired.");
  const { means, calls } = scene({ put: [expired] });
  await send({ voiceId: "voice-0", uploadUrl: "/objects/0", uploaded: false }, means, never);
  expect(calls).toEqual(["put /objects/0", "ticket 1", "put /objects/1", "finalize voice-1"]);
  const twice = scene({ put: [expired, expired] });
  await expect(send(null, twice.means, never)).rejects.toBe(expired);
});

test("an answer that was lost is asked for again, and one voice is made", async () => {
  const { means, calls } = scene({ finalize: [lost, lost] });
  expect(await send(null, means, never)).toMatchObject({ id: "voice-1" });
  expect(calls.filter((call) => call.startsWith("finalize"))).toEqual(Array(3).fill("finalize voice-1"));
  const away = scene({ finalize: Array(9).fill(lost) });
  await expect(send(null, away.means, never)).rejects.toBe(lost);
  expect(away.kept.at(-1)).toMatchObject({ voiceId: "voice-1", uploaded: true });
});

test("a voice that is being made already is waited for", async () => {
  const busy = new ApiError(409, "This voice is being created already; try again in a moment.");
  const { means, calls } = scene({ finalize: [busy, busy, busy] });
  await send({ voiceId: "voice-0", uploadUrl: "", uploaded: true }, means, never);
  expect(calls).toHaveLength(4);
});

test("a refusal keeps the upload, so that the next try needs no other", async () => {
  const refused = new ApiError(503, "The speech provider is unavailable (HTTP 500).");
  const { means, kept } = scene({ finalize: [refused] });
  await expect(send(null, means, never)).rejects.toBe(refused);
  expect(kept.at(-1)).toMatchObject({ voiceId: "voice-1", uploaded: true });
});

test.each(["Audio file not uploaded.", "This voice was deleted."])(
  "an upload that is gone is made anew: %s",
  async (detail) => {
    const { means, calls } = scene({ finalize: [new ApiError(400, detail)] });
    expect(await send({ voiceId: "voice-0", uploadUrl: "", uploaded: true }, means, never)).toMatchObject({
      id: "voice-1",
    });
    expect(calls).toEqual(["finalize voice-0", "ticket 1", "put /objects/1", "finalize voice-1"]);
  },
);
