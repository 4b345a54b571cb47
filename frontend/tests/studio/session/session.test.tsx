import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { act, render, screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { sessionEnded } from "@/studio/session/auth";
import { useDraft } from "@/studio/session/drafts";
import { SessionProvider, useSession } from "@/studio/session/session";
import { SessionEnded } from "@/studio/shell/SessionEnded";
import { FakeIssuer, keep, shareLocks } from "./issuing";

let issuer: FakeIssuer;

beforeEach(() => {
  issuer = new FakeIssuer();
  issuer.install();
  shareLocks();
  // jsdom has the element, not what it does.
  HTMLDialogElement.prototype.showModal = function show() {
    this.open = true;
  };
});

afterEach(() => vi.unstubAllGlobals());

function Form() {
  const [fields, change] = useDraft("test", { text: "" });
  return <input aria-label="Text" value={fields.text} onChange={(e) => change({ text: e.target.value })} />;
}

function Page() {
  const { state, signOut } = useSession();
  if (state.status === "signed_out") return <p>signed out</p>;
  return (
    <>
      <p>{state.status}</p>
      <Form />
      <button type="button" onClick={() => void signOut()}>
        Leave
      </button>
      <SessionEnded />
    </>
  );
}

function open() {
  return render(
    <QueryClientProvider client={new QueryClient()}>
      <SessionProvider>
        <Page />
      </SessionProvider>
    </QueryClientProvider>,
  );
}

/** What another tab did. */
function fromAnotherTab(change: () => void): void {
  act(() => {
    change();
    window.dispatchEvent(new StorageEvent("storage", { key: "understudy.session" }));
  });
}

test("a session that ends asks for the password and loses no text", async () => {
  keep(issuer.session("ada"));
  open();
  await userEvent.type(screen.getByLabelText("Text"), "Half a sentence");
  act(() => sessionEnded());
  expect(screen.getByRole("dialog", { name: "Your session has ended" })).toBeVisible();
  expect(screen.getByLabelText("E-mail")).toHaveValue("ada@example.org");
  await userEvent.type(screen.getByLabelText("Password"), "secret{Enter}");
  await waitFor(() => expect(screen.queryByRole("dialog")).toBeNull());
  expect(screen.getByText("signed_in")).toBeVisible();
  expect(screen.getByLabelText("Text")).toHaveValue("Half a sentence");
});

test("a session that was renewed or kept in another tab changes nothing here", () => {
  keep(issuer.session("ada"));
  open();
  fromAnotherTab(() => keep(issuer.session("ada")));
  expect(screen.getByText("signed_in")).toBeVisible();
});

test("signing in again in another tab takes the dialog away here", () => {
  keep(issuer.session("ada"));
  open();
  act(() => sessionEnded());
  fromAnotherTab(() => keep(issuer.session("ada")));
  expect(screen.queryByRole("dialog")).toBeNull();
});

test("signing out in another tab signs out here: nothing stays on a screen that somebody left", () => {
  keep(issuer.session("ada"));
  open();
  fromAnotherTab(() => {
    localStorage.setItem("understudy.left", "ada");
    localStorage.removeItem("understudy.session");
  });
  expect(screen.getByText("signed out")).toBeVisible();
});

test("another account in another tab: the page is neither theirs nor usable, and the draft stays its author's", async () => {
  keep(issuer.session("ada"));
  open();
  await userEvent.type(screen.getByLabelText("Text"), "Ada's words");
  await waitFor(() => expect(localStorage.getItem("understudy.draft.ada.test")).toContain("Ada's words"));
  fromAnotherTab(() => keep(issuer.session("bob")));
  expect(screen.getByRole("dialog", { name: "Somebody else is signed in" })).toHaveTextContent(
    "bob@example.org",
  );
  expect(localStorage.getItem("understudy.draft.bob.test")).toBeNull();
});

test("an expired session with the service away is still a session", () => {
  keep(issuer.session("ada"), -100);
  issuer.away = () => Promise.reject(new TypeError("Failed to fetch"));
  open();
  expect(screen.getByText("signed_in")).toBeVisible();
});

test("signing out needs no answer from the service", async () => {
  keep(issuer.session("ada"), -100);
  issuer.away = () => Promise.reject(new TypeError("Failed to fetch"));
  open();
  await userEvent.click(screen.getByRole("button", { name: "Leave" }));
  await waitFor(() => expect(screen.getByText("signed out")).toBeVisible());
  expect(localStorage.getItem("understudy.session")).toBeNull();
});
