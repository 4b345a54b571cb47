import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Deletions, UNDO_MS } from "@/studio/deleting";

const thing = { id: "a", url: "/api/voices/a", said: "Gone." };

function make(answer: () => Promise<Response> = () => Promise.resolve(Response.json({ ok: true }))) {
  const send = vi.fn((_url: string, _init: RequestInit) => answer());
  const sendAtLast = vi.fn((_url: string, _init: RequestInit) => undefined);
  const deletions = new Deletions({ send, sendAtLast, token: () => Promise.resolve("T") });
  return { deletions, send, sendAtLast };
}

describe("a deletion", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  test("hides at once and is sent when its time is over", async () => {
    const { deletions, send } = make();
    const done = vi.fn();
    deletions.delete({ ...thing, done }, vi.fn());
    expect(deletions.gone().has("a")).toBe(true);
    await vi.advanceTimersByTimeAsync(UNDO_MS - 1);
    expect(send).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1);
    expect(send).toHaveBeenCalledWith("/api/voices/a", { method: "DELETE", keepalive: true });
    expect(done).toHaveBeenCalledOnce();
    expect(deletions.gone().has("a")).toBe(true);
  });

  test("is not sent when it was undone, and says when that is too late", async () => {
    const { deletions, send } = make();
    deletions.delete(thing, vi.fn());
    expect(deletions.undo("a")).toBe(true);
    expect(deletions.gone().has("a")).toBe(false);
    await vi.advanceTimersByTimeAsync(UNDO_MS);
    expect(send).not.toHaveBeenCalled();
    deletions.delete(thing, vi.fn());
    await vi.advanceTimersByTimeAsync(UNDO_MS);
    expect(deletions.undo("a")).toBe(false);
  });

  test("is sent with its token when the page goes away, and only once", async () => {
    const { deletions, send, sendAtLast } = make();
    deletions.delete(thing, vi.fn());
    await vi.advanceTimersByTimeAsync(10);
    deletions.flush();
    expect(sendAtLast).toHaveBeenCalledWith("/api/voices/a", {
      method: "DELETE",
      headers: { Authorization: "Bearer T" },
      keepalive: true,
    });
    await vi.advanceTimersByTimeAsync(UNDO_MS);
    expect(send).not.toHaveBeenCalled();
  });

  test("that is refused shows the thing again with the service's sentence", async () => {
    const refused = () => Promise.resolve(Response.json({ detail: "Changes are paused." }, { status: 503 }));
    const { deletions } = make(refused);
    const failed = vi.fn();
    deletions.delete(thing, failed);
    await vi.advanceTimersByTimeAsync(UNDO_MS);
    expect(failed).toHaveBeenCalledWith("Changes are paused.");
    expect(deletions.gone().has("a")).toBe(false);
  });

  test("of what is gone already is done", async () => {
    const { deletions } = make(() =>
      Promise.resolve(Response.json({ detail: "Not found." }, { status: 404 })),
    );
    const failed = vi.fn();
    deletions.delete(thing, failed);
    await vi.advanceTimersByTimeAsync(UNDO_MS);
    expect(failed).not.toHaveBeenCalled();
    expect(deletions.gone().has("a")).toBe(true);
  });
});
