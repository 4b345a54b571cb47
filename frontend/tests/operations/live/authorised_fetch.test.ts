import { afterEach, expect, test, vi } from "vitest";
import { authorisedFetch } from "@/operations/api/client";
import { setOperatorKey } from "@/operations/session/operator";
import { ApiError } from "@/shared/problems";

afterEach(() => {
  setOperatorKey(null);
  vi.unstubAllGlobals();
});

test("the key goes in a header, and never in the address", async () => {
  const asked: Request[] = [];
  vi.stubGlobal("fetch", async (request: Request) => {
    asked.push(request);
    return new Response("{}");
  });
  await authorisedFetch("http://guard.test/status");
  setOperatorKey("ugk_one_two");
  await authorisedFetch("http://guard.test/status");
  expect(asked.map((request) => request.headers.get("Authorization"))).toEqual([null, "Bearer ugk_one_two"]);
  expect(asked.every((request) => !request.url.includes("ugk_"))).toBe(true);
});

test("no answer is an error of its own", async () => {
  vi.stubGlobal("fetch", async () => {
    throw new TypeError("refused");
  });
  await expect(authorisedFetch("http://guard.test/status")).rejects.toMatchObject({ status: 0 });
  await expect(authorisedFetch("http://guard.test/status")).rejects.toBeInstanceOf(ApiError);
});
