import { expect, test } from "vitest";
import { addressOf, viewOf } from "@/studio/pages/history/address";

const all = { search: "", status: null, page: 1 };

test.each([
  ["", all],
  ["search=fox&status=failed&page=3", { search: "fox", status: "failed", page: 3 }],
  ["status=odd&page=-1", all],
  ["page=1.5", all],
])("the address %s is read", (address, view) => {
  expect(viewOf(new URLSearchParams(address))).toEqual(view);
});

test("an address says only what differs from everything", () => {
  expect(addressOf(all, {}).toString()).toBe("");
  expect(addressOf(all, { search: "the fox", status: "failed" }).toString()).toBe(
    "search=the+fox&status=failed",
  );
});

test("what is written is read again", () => {
  const view = { search: "a & b", status: "processing" as const, page: 4 };
  expect(viewOf(addressOf(view, {}))).toEqual(view);
});

test("another search or status begins at its first page; another page keeps both", () => {
  const view = { search: "fox", status: "failed" as const, page: 5 };
  expect(viewOf(addressOf(view, { search: "dog" }))).toEqual({ ...view, search: "dog", page: 1 });
  expect(viewOf(addressOf(view, { status: null }))).toEqual({ ...view, status: null, page: 1 });
  expect(viewOf(addressOf(view, { page: 6 }))).toEqual({ ...view, page: 6 });
});
