import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { render, screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { MemoryRouter } from "react-router";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import SignIn from "@/studio/pages/sign-in/SignIn";
import { SessionProvider, useSession } from "@/studio/session/session";
import { FakeIssuer, kept, shareLocks } from "../session/issuing";

beforeEach(() => {
  new FakeIssuer().install();
  shareLocks();
  vi.stubGlobal("matchMedia", () => ({ matches: true }));
});

afterEach(() => vi.unstubAllGlobals());

function Page({ purpose }: { purpose: "in" | "up" }) {
  return useSession().state.status === "signed_in" ? <p>inside</p> : <SignIn purpose={purpose} />;
}

function open(purpose: "in" | "up") {
  return render(
    <QueryClientProvider client={new QueryClient({ defaultOptions: { queries: { retry: false } } })}>
      <MemoryRouter initialEntries={["/sign-in?next=%2Fclone"]}>
        <SessionProvider>
          <Page purpose={purpose} />
        </SessionProvider>
      </MemoryRouter>
    </QueryClientProvider>,
  );
}

test("what is missing is said at its field, and the first one has the focus", async () => {
  open("in");
  expect(screen.getByLabelText("E-mail")).toHaveFocus();
  await userEvent.click(screen.getByRole("button", { name: "Sign in" }));
  expect(screen.getByLabelText("E-mail")).toHaveAccessibleDescription("Enter your e-mail address.");
  expect(screen.getByLabelText("E-mail")).toHaveFocus();
  expect(screen.getByLabelText("Password")).toBeInvalid();
});

test("a refusal keeps what was written; Enter signs in", async () => {
  open("in");
  await userEvent.type(screen.getByLabelText("E-mail"), "ada@example.org");
  await userEvent.type(screen.getByLabelText("Password"), "wrong{Enter}");
  expect(await screen.findByText("The e-mail address or the password is not right.")).toBeVisible();
  expect(screen.getByLabelText("E-mail")).toHaveValue("ada@example.org");
  await userEvent.clear(screen.getByLabelText("Password"));
  await userEvent.type(screen.getByLabelText("Password"), "right{Enter}");
  await waitFor(() => expect(screen.getByText("inside")).toBeVisible());
  expect(kept()?.access_token).toContain("ada");
});

test("a new password's rule is met while it is written, and it can be looked at", async () => {
  open("up");
  const password = screen.getByLabelText("Password");
  expect(password).toHaveAccessibleDescription(/At least 6 characters/);
  expect(password).toHaveAttribute("autocomplete", "new-password");
  await userEvent.type(password, "abc");
  expect(password).toHaveAccessibleDescription("3 more characters.");
  await userEvent.click(screen.getByRole("button", { name: "Show the password" }));
  expect(password).toHaveAttribute("type", "text");
});

test("the way to the other form keeps where they wanted to go", () => {
  open("in");
  expect(screen.getByRole("link", { name: "Create an account" })).toHaveAttribute(
    "href",
    "/sign-up?next=%2Fclone",
  );
});
