import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { fireEvent, render, screen } from "@testing-library/react";
import { beforeEach, expect, test } from "vitest";
import { forgetDrafts, useDraft } from "@/studio/session/drafts";
import { SessionProvider } from "@/studio/session/session";
import { FakeIssuer, keep } from "./issuing";

const KEY = "understudy.draft.ada.test";

beforeEach(() => keep(new FakeIssuer().session("ada")));

function Form() {
  const [fields, change, forget] = useDraft("test", { text: "", language: "Auto" });
  return (
    <>
      <input aria-label="Text" value={fields.text} onChange={(e) => change({ text: e.target.value })} />
      <button type="button" onClick={forget}>
        Forget
      </button>
    </>
  );
}

function open() {
  return render(
    <QueryClientProvider client={new QueryClient()}>
      <SessionProvider>
        <Form />
      </SessionProvider>
    </QueryClientProvider>,
  );
}

const write = (text: string) => fireEvent.change(screen.getByLabelText("Text"), { target: { value: text } });

test("a page that is left at once has lost nothing", () => {
  const { unmount } = open();
  write("Half a sen");
  unmount();
  open();
  expect(screen.getByLabelText("Text")).toHaveValue("Half a sen");
});

test("a tab in which nothing was changed does not write over what another one has", () => {
  const { unmount } = open();
  localStorage.setItem(KEY, JSON.stringify({ text: "From the other tab" }));
  unmount();
  expect(localStorage.getItem(KEY)).toContain("From the other tab");
});

test("what is forgotten is gone, and an account that is erased leaves nothing", () => {
  const { unmount } = open();
  write("Secret");
  fireEvent.click(screen.getByRole("button"));
  unmount();
  expect(localStorage.getItem(KEY)).toBeNull();
  localStorage.setItem(KEY, "{}");
  localStorage.setItem("understudy.draft.bob.test", "{}");
  forgetDrafts("ada");
  expect(localStorage.getItem(KEY)).toBeNull();
  expect(localStorage.getItem("understudy.draft.bob.test")).not.toBeNull();
});
