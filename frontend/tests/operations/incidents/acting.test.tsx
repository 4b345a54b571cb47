import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { configure, render, screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { MemoryRouter, Route, Routes } from "react-router";
import { beforeEach, expect, test, vi } from "vitest";
import type { Schemas } from "@/operations/api/client";
import IncidentPage from "@/operations/pages/incidents/Incident";
import Incidents from "@/operations/pages/incidents/Incidents";
import { ApiError } from "@/shared/problems";
import { Toasts } from "@/shared/toasts";
import { incidents as strings } from "@/strings/incidents";
import { entry, HASH, ID, incident, plan } from "./fixtures";

// A machine that is busy is slow, and nothing else.
configure({ asyncUtilTimeout: 10_000 });
vi.setConfig({ testTimeout: 30_000 });

const IN_A_MINUTE = () => new Date(Date.now() + 60_000).toISOString();

interface Init {
  params?: { path?: { id?: string } };
  body?: unknown;
}

interface Sent {
  path: string;
  body: unknown;
}

/** The guard as these tests play it: what it serves, what it was sent, and what it answers to that. */
const played = vi.hoisted(() => ({
  served: {} as Record<string, unknown>,
  sent: [] as Sent[],
  answer: async (): Promise<unknown> => undefined,
}));

vi.mock("@/operations/api/client", async (original) => {
  const filled = (path: string, init?: Init) => path.replace("{id}", init?.params?.path?.id ?? "");
  return {
    ...(await original<typeof import("@/operations/api/client")>()),
    guard: {
      GET: async (path: string, init?: Init) => {
        const at = filled(path, init);
        if (!(at in played.served)) throw new ApiError(404, "There is nothing here.");
        return { data: played.served[at] };
      },
      POST: async (path: string, init?: Init) => {
        played.sent.push({ path: filled(path, init), body: init?.body ?? null });
        return { data: await played.answer() };
      },
    },
  };
});

const APPROVED = () => entry({ seq: 9, kind: "approval", actor: "person:ann" });

beforeEach(() => {
  // jsdom has no modal dialogs.
  HTMLDialogElement.prototype.showModal = function show(this: HTMLDialogElement) {
    this.open = true;
  };
  HTMLDialogElement.prototype.close = function close(this: HTMLDialogElement) {
    this.open = false;
  };
  played.sent = [];
  played.answer = async () => APPROVED();
  played.served = {
    "/me": { label: "ann", may_approve: true },
    [`/incidents/${ID}/timeline`]: { incident: ID, state: "HOLD", onset: null, lines: [] },
    [`/incidents/${ID}/checklist`]: { incident: ID, rows: [], done: 0, of: 0 },
  };
});

function open(one: Schemas["IncidentDetail"] | null, at = `/incidents/${ID}`) {
  if (one) played.served[`/incidents/${ID}`] = one;
  const client = new QueryClient({ defaultOptions: { queries: { retry: false } } });
  render(
    <QueryClientProvider client={client}>
      <Toasts>
        <MemoryRouter initialEntries={[at]}>
          <Routes>
            <Route path="/incidents" element={<Incidents />} />
            <Route path="/incidents/:id" element={<IncidentPage />} />
          </Routes>
        </MemoryRouter>
      </Toasts>
    </QueryClientProvider>,
  );
}

test("a plan is agreed to once, by its whole hash, and only after it was named", async () => {
  open(incident({ plans: [plan({ expires_at: IN_A_MINUTE() })] }));
  const agree = await screen.findByRole("button", { name: strings.plan.agree });
  await userEvent.click(agree);
  expect(screen.getByText(strings.plan.notThat)).toBeInTheDocument();
  expect(played.sent).toEqual([]);
  await userEvent.type(screen.getByLabelText(strings.plan.confirm(HASH.slice(0, 12), "local")), "local");
  let release: (given: unknown) => void = () => undefined;
  played.answer = () => new Promise((resolve) => (release = resolve));
  await userEvent.dblClick(agree);
  await waitFor(() => expect(played.sent).toHaveLength(1));
  expect(played.sent[0]).toEqual({
    path: `/incidents/${ID}/approve`,
    body: { plan: HASH, reason: "", break_glass: false },
  });
  release(APPROVED());
  expect(await screen.findByText(strings.orders.sent(strings.orders.agree))).toBeInTheDocument();
  expect(played.sent).toHaveLength(1);
});

test("the plan is shown in full: steps, what changes, who agreed, what is missing", async () => {
  open(incident({ plans: [plan({ approvals: 2, approved_by: ["person:ben"], expires_at: IN_A_MINUTE() })] }));
  expect(await screen.findByText("1 of 2: ben")).toBeInTheDocument();
  expect(screen.getByText(strings.plan.missing(1))).toBeInTheDocument();
  expect(screen.getByText(strings.plan.changes)).toBeInTheDocument();
  expect(screen.getByText("live_override")).toBeInTheDocument();
  expect(screen.getByText("at most 20 s")).toBeInTheDocument();
});

test("the guard's refusal is shown, word for word", async () => {
  open(incident({ plans: [plan({ expires_at: IN_A_MINUTE() })] }));
  played.answer = () => Promise.reject(new ApiError(409, "That plan was replaced: read plan 0123456789ab."));
  const field = await screen.findByLabelText(strings.plan.confirm(HASH.slice(0, 12), "local"));
  await userEvent.type(field, HASH.slice(0, 12));
  await userEvent.click(screen.getByRole("button", { name: strings.plan.agree }));
  expect(await screen.findByText("That plan was replaced: read plan 0123456789ab.")).toBeInTheDocument();
});

test("when no answer comes, nobody is told that it was done or that it was not", async () => {
  open(incident({ plans: [plan({ expires_at: IN_A_MINUTE() })] }));
  played.answer = () => Promise.reject(new ApiError(0, "no answer"));
  const field = await screen.findByLabelText(strings.plan.confirm(HASH.slice(0, 12), "local"));
  await userEvent.type(field, "local");
  await userEvent.click(screen.getByRole("button", { name: strings.plan.agree }));
  expect((await screen.findAllByText(strings.orders.unknown(strings.orders.agree))).length).toBeGreaterThan(
    0,
  );
});

test("the machine's key may look, and is told why it may not agree", async () => {
  played.served["/me"] = { label: "operator.token", may_approve: false };
  open(incident({ plans: [plan({ expires_at: IN_A_MINUTE() })] }));
  expect(await screen.findByText(/machine's own key/)).toBeInTheDocument();
  expect(screen.queryByRole("button", { name: strings.plan.agree })).toBeNull();
  expect(screen.queryByRole("button", { name: strings.breakGlass.open })).toBeNull();
});

test("whoever asked cannot agree, and can break the glass with a reason and the hash", async () => {
  open(incident({ plans: [plan({ requested_by: "person:ann", expires_at: IN_A_MINUTE() })] }));
  await userEvent.click(await screen.findByRole("button", { name: strings.breakGlass.open }));
  expect(screen.queryByRole("button", { name: strings.plan.agree })).toBeNull();
  const dialog = within(screen.getByRole("dialog", { name: strings.breakGlass.title }));
  const act = dialog.getByRole("button", { name: strings.breakGlass.action });
  expect(act).toBeDisabled();
  await userEvent.type(dialog.getByLabelText(/^Type /), HASH.slice(0, 12));
  await userEvent.click(act);
  expect(dialog.getByText(strings.breakGlass.reasonMissing)).toBeInTheDocument();
  expect(played.sent).toEqual([]);
  await userEvent.type(dialog.getByLabelText(strings.breakGlass.reason), "Nobody answers");
  await userEvent.click(act);
  await waitFor(() =>
    expect(played.sent).toEqual([
      { path: `/incidents/${ID}/approve`, body: { plan: HASH, reason: "Nobody answers", break_glass: true } },
    ]),
  );
});

test("orders that the state does not allow say why", async () => {
  open(incident({ state: "RESTORING" }));
  expect(await screen.findByRole("button", { name: strings.orders.names.close })).toBeDisabled();
  expect(screen.getByText(`${strings.orders.notNow} ${strings.why.restoring}`)).toBeInTheDocument();
  expect(screen.getByRole("button", { name: strings.orders.names.abort })).toBeEnabled();
});

test("an order wants a reason and is sent once", async () => {
  open(incident({ state: "RESTORING" }));
  await userEvent.click(await screen.findByRole("button", { name: strings.orders.names.hold }));
  const dialog = within(screen.getByRole("dialog"));
  const act = dialog.getByRole("button", { name: strings.orders.names.hold });
  await userEvent.click(act);
  expect(played.sent).toEqual([]);
  await userEvent.type(dialog.getByLabelText(strings.orders.reason), "the vendor looks");
  await userEvent.dblClick(act);
  await waitFor(() =>
    expect(played.sent).toEqual([{ path: `/incidents/${ID}/hold`, body: { reason: "the vendor looks" } }]),
  );
});

test("an incident that does not exist, and an installation without any", async () => {
  open(null);
  expect(await screen.findByRole("heading", { name: strings.noSuch })).toBeInTheDocument();
});

test("the empty list says so, and what to do", async () => {
  played.served["/incidents"] = { incidents: [], next_offset: null };
  open(null, "/incidents");
  expect(await screen.findByRole("heading", { name: strings.empty })).toBeInTheDocument();
  expect(screen.getByRole("link", { name: strings.emptyAction })).toBeInTheDocument();
});

test("a text of a report or a title is never read as HTML", async () => {
  open(incident({ title: "<img src=x onerror=alert(1)>", instruction: "<script>x</script> `run`" }));
  expect(await screen.findByRole("heading", { level: 1 })).toHaveTextContent("<img src=x");
  expect(document.querySelector("main img, script, img")).toBeNull();
});
