import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import SignIn from "@/operations/pages/sign-in/SignIn";
import { OperatorProvider, operatorKey, setOperatorKey } from "@/operations/session/operator";

let answer: () => Response;
const asked: [string, string | null][] = [];

beforeEach(() => {
  asked.length = 0;
  vi.stubGlobal("fetch", async (url: string, init?: RequestInit) => {
    if (url.endsWith("/health")) return new Response("{}");
    asked.push([url, new Headers(init?.headers).get("Authorization")]);
    return answer();
  });
});

afterEach(() => {
  setOperatorKey(null);
  vi.unstubAllGlobals();
});

function show() {
  render(
    <QueryClientProvider client={new QueryClient()}>
      <OperatorProvider>
        <SignIn />
      </OperatorProvider>
    </QueryClientProvider>,
  );
  return userEvent.setup();
}

const field = () => screen.getByLabelText("Operator's key");
const open = () => screen.getByRole("button", { name: "Open the console" });

test("a key that the guard knows opens the console, and never stands in an address", async () => {
  answer = () => Response.json({ label: "ann", may_approve: true });
  const user = show();
  await user.type(field(), "  ugk_one_two ");
  await user.click(open());
  expect(operatorKey()).toBe("ugk_one_two");
  expect(sessionStorage.getItem("understudy.operator")).toBe("ugk_one_two");
  expect(asked).toEqual([[expect.not.stringContaining("ugk"), "Bearer ugk_one_two"]]);
  expect(window.location.href).not.toContain("ugk");
});

test.each([
  ["ugk_wrong", () => new Response("{}", { status: 401 }), "does not know this key"],
  ["half a key", () => new Response("{}", { status: 401 }), "begins with ugk_"],
  ["other", () => new Response("{}", { status: 401 }), "begins with ugk_"],
  [
    "ugk_one",
    () => {
      throw new TypeError("refused");
    },
    "The guard does not answer",
  ],
])("%s is refused with a sentence", async (key, given, said) => {
  answer = given;
  const user = show();
  await user.type(field(), key);
  await user.click(open());
  expect(await screen.findByRole("alert")).toHaveTextContent(said);
  expect(field()).toBeInvalid();
  expect(field()).toHaveValue(key);
  expect(operatorKey()).toBeNull();
});

test("it says how to get a key, and what the machine's own key may not", () => {
  show();
  expect(screen.getByText("understudy guard-keys create NAME")).toBeVisible();
  expect(screen.getByText(/it approves nothing/)).toBeVisible();
  expect(field()).toHaveAttribute("type", "password");
  expect(field()).not.toHaveAttribute("name");
});
