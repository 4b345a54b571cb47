import { render, screen } from "@testing-library/react";
import { Suspense } from "react";
import { beforeEach, expect, test, vi } from "vitest";

const reload = vi.fn();
const asked = vi.fn<typeof fetch>();
const Part = () => <p>the part</p>;

async function fresh() {
  vi.resetModules();
  return await import("@/shared/lazyPart");
}

beforeEach(() => {
  sessionStorage.clear();
  reload.mockReset();
  asked.mockReset().mockResolvedValue(new Response("<!doctype html>"));
  vi.stubGlobal("fetch", asked);
  vi.stubGlobal("location", { ...window.location, href: "http://localhost/voices", reload });
});

function show(Lazy: React.ComponentType) {
  render(
    <Suspense fallback="loading">
      <Lazy />
    </Suspense>,
  );
}

test("a part is loaded when it is shown", async () => {
  const { lazyPart } = await fresh();
  show(lazyPart(() => Promise.resolve({ default: Part })));
  expect(await screen.findByText("the part")).toBeTruthy();
  expect(reload).not.toHaveBeenCalled();
});

test("one that a newer build has not is a reason to load the page anew", async () => {
  const { lazyPart } = await fresh();
  show(lazyPart<typeof Part>(() => Promise.reject(new Error("404"))));
  await vi.waitFor(() => expect(reload).toHaveBeenCalledOnce());
  expect(screen.getByText("loading")).toBeTruthy();
});

test("while the service is away, it is waited for", async () => {
  asked.mockRejectedValueOnce(new TypeError("offline"));
  const { lazyPart } = await fresh();
  show(lazyPart<typeof Part>(() => Promise.reject(new Error("offline"))));
  await vi.waitFor(() => expect(asked).toHaveBeenCalledOnce());
  expect(reload).not.toHaveBeenCalled();
  window.dispatchEvent(new Event("online"));
  await vi.waitFor(() => expect(reload).toHaveBeenCalledOnce());
});

test("what was loaded ahead is there at once, and what was spoilt is loaded with a fresh page", async () => {
  vi.stubGlobal("requestIdleCallback", (run: () => void) => run());
  const { lazyPart, loadAhead } = await fresh();
  const good = vi.fn(() => Promise.resolve({ default: Part }));
  const bad = vi.fn(() => Promise.reject<{ default: typeof Part }>(new Error("offline")));
  lazyPart(good);
  const Spoilt = lazyPart(bad);
  loadAhead();
  loadAhead();
  await vi.waitFor(() => expect(bad).toHaveBeenCalledOnce());
  expect(good).toHaveBeenCalledOnce();
  show(Spoilt);
  await vi.waitFor(() => expect(reload).toHaveBeenCalledOnce());
  expect(bad).toHaveBeenCalledOnce();
});
