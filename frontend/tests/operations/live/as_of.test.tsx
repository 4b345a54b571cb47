import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { act, render, screen } from "@testing-library/react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Live } from "@/operations/live/AsOf";
import { FreshnessBanner } from "@/operations/live/FreshnessBanner";
import { LiveProvider } from "@/operations/live/live";
import { TabTitle } from "@/operations/live/Standing";
import type { StreamListener } from "@/operations/live/stream";
import { OperatorProvider, operatorKey, setOperatorKey } from "@/operations/session/operator";
import { ApiError } from "@/shared/problems";
import { statusOf } from "../fixtures";

let stream: StreamListener;
let status: () => Promise<unknown>;

vi.mock("@/operations/live/stream", () => ({
  listen: async (listener: StreamListener) => {
    stream = listener;
  },
}));
vi.mock("@/operations/api/client", () => ({
  answered: (call: Promise<unknown>) => call,
  guard: { GET: (path: string) => (path === "/status" ? status() : new Promise(() => undefined)) },
}));

beforeEach(() => {
  vi.useFakeTimers({ now: new Date("2026-11-29T02:20:00Z") });
  setOperatorKey("ugk_one_two");
  status = async () => statusOf();
});

afterEach(() => {
  vi.useRealTimers();
  setOperatorKey(null);
});

const pass = (ms: number) => act(() => vi.advanceTimersByTimeAsync(ms));

function show() {
  const queries = new QueryClient({ defaultOptions: { queries: { retry: false } } });
  return render(
    <QueryClientProvider client={queries}>
      <OperatorProvider>
        <LiveProvider>
          <TabTitle />
          <FreshnessBanner />
          <Live>
            <p>{"99.8 %"}</p>
          </Live>
        </LiveProvider>
      </OperatorProvider>
    </QueryClientProvider>,
  );
}

const marked = () => screen.getByText("99.8 %").closest("[data-stale]") !== null;

test("what is on the screen becomes old in front of whoever looks, and fresh again", async () => {
  show();
  act(() => stream.onOpen());
  await pass(1000);
  expect(marked()).toBe(false);
  expect(screen.queryByRole("alert")).toBeNull();
  expect(document.title).toBe("Operations");

  status = () => Promise.reject(new ApiError(0, "no answer"));
  act(() => stream.onLost());
  await pass(6000);
  expect(marked()).toBe(true);
  expect(screen.getByRole("alert")).toHaveTextContent(
    "The guard does not answer. Nothing here is newer than",
  );
  expect(screen.getAllByText(/as of/)[0]).toBeVisible();
  expect(document.title).toBe("? Stale - Operations");

  status = async () => statusOf();
  act(() => stream.onOpen());
  await pass(1000);
  expect(marked()).toBe(false);
  expect(document.title).toBe("Operations");
});

test("a guard that answers but does not look is not the present", async () => {
  const stuck = { ...statusOf().guard, cycle_age_s: 40 };
  status = async () => statusOf({ guard: stuck });
  show();
  act(() => stream.onOpen());
  await pass(1000);
  expect(marked()).toBe(true);
  expect(screen.getByRole("alert")).toHaveTextContent("completed no look");
});

test("where the stream is swallowed, what is polled is still the present", async () => {
  show();
  act(() => stream.onLost());
  await pass(20_000);
  expect(marked()).toBe(false);
});

test("a key that is revoked meanwhile is forgotten", async () => {
  show();
  status = () => Promise.reject(new ApiError(401, "revoked"));
  await pass(5000);
  expect(operatorKey()).toBeNull();
});
