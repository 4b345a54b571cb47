import type { AuthError, Session } from "@supabase/auth-js";
import { type QueryClient, useQueryClient } from "@tanstack/react-query";
import { createContext, type ReactNode, useContext, useEffect, useMemo, useState } from "react";
import { accessToken, auth, leave, onChange, ownedBy } from "./auth";
import { leftOnPurpose, noteLeaving, onOtherTab, storedSession } from "./keeping";
import { refusal } from "./refusals";

export type SessionState =
  | { status: "loading" }
  | { status: "signed_out" }
  | { status: "signed_in"; userId: string; email: string }
  /**
   * It was signed in and its session ended: the page stays as it is until they sign in again.
   * `replacedBy`: somebody else is signed in by now, in another tab.
   */
  | { status: "ended"; userId: string; email: string; replacedBy?: string };

interface SessionValue {
  state: SessionState;
  /** Null when it worked, else the sentence to show. */
  signIn: (email: string, password: string) => Promise<string | null>;
  /** Null when they are signed in, else the sentence to show: a refusal, or that a mail is on its way. */
  signUp: (email: string, password: string) => Promise<string | null>;
  /** Ends this session; `everywhere`: all of this account. Null when it worked, else the sentence to show. */
  signOut: (everywhere?: boolean) => Promise<string | null>;
  /** Ends the account's other sessions as well. Null when it worked, else the sentence to show. */
  changePassword: (password: string) => Promise<string | null>;
}

const Context = createContext<SessionValue | null>(null);

export function useSession(): SessionValue {
  const value = useContext(Context);
  if (value === null) throw new Error("useSession outside of SessionProvider");
  return value;
}

/** The person's id where one is signed in, or was a moment ago. */
export function useUserId(): string | null {
  const { state } = useSession();
  return "userId" in state ? state.userId : null;
}

/** What the page is to be, of what it was and the session that is kept now. */
export function nextState(before: SessionState, session: Session | null): SessionState {
  const email = session?.user.email ?? "";
  if (!("userId" in before)) {
    return session ? { status: "signed_in", userId: session.user.id, email } : { status: "signed_out" };
  }
  if (session === null) {
    if (leftOnPurpose(before.userId)) return { status: "signed_out" };
    if (before.status === "ended" && before.replacedBy === undefined) return before;
    return { status: "ended", userId: before.userId, email: before.email };
  }
  if (session.user.id !== before.userId) {
    if (before.status === "ended" && before.replacedBy === email) return before;
    return { status: "ended", userId: before.userId, email: before.email, replacedBy: email };
  }
  return before.status === "signed_in" && before.email === email
    ? before
    : { status: "signed_in", userId: before.userId, email };
}

function useStoredState(queries: QueryClient): [SessionState, () => void] {
  const [state, setState] = useState<SessionState>(() => nextState({ status: "loading" }, storedSession()));
  const take = useMemo(() => () => setState((before) => nextState(before, storedSession())), []);
  useEffect(() => {
    const stop = [onChange(take), onOtherTab(take)];
    // A tab that was asleep hears of nothing.
    document.addEventListener("visibilitychange", take);
    take();
    return () => {
      for (const each of stop) each();
      document.removeEventListener("visibilitychange", take);
    };
  }, [take]);
  const owner = "userId" in state ? state.userId : null;
  // Before any effect of the page asks for something.
  ownedBy(owner);
  const { status } = state;
  useEffect(() => {
    if (status === "signed_out") queries.clear();
    // Whatever failed while the session was over.
    if (status === "signed_in") void queries.invalidateQueries();
  }, [status, queries]);
  return [state, take];
}

async function said(attempt: () => Promise<AuthError | null>): Promise<string | null> {
  try {
    const error = await attempt();
    return error ? refusal(error) : null;
  } catch (error) {
    return refusal(error);
  }
}

export function SessionProvider({ children }: { children: ReactNode }) {
  const queries = useQueryClient();
  const [state, take] = useStoredState(queries);

  const value = useMemo<SessionValue>(
    () => ({
      state,
      signIn: async (email, password) => {
        const problem = await said(async () => {
          const { error } = await (await auth()).signInWithPassword({ email: email.trim(), password });
          return error;
        });
        if (problem === null) noteLeaving(null);
        take();
        return problem;
      },
      signUp: async (email, password) => {
        const problem = await said(async () => {
          const { data, error } = await (await auth()).signUp({ email: email.trim(), password });
          if (!error && data.session === null) throw new Error("confirm_email");
          return error;
        });
        if (problem === null) noteLeaving(null);
        take();
        return problem;
      },
      signOut: async (everywhere = false) => {
        if (everywhere) {
          const problem = await said(async () => {
            await accessToken();
            const { error } = await (await auth()).signOut({ scope: "others" });
            return error;
          });
          if (problem !== null) return problem;
        }
        leave();
        return null;
      },
      changePassword: (password) =>
        said(async () => {
          await accessToken();
          const { error } = await (await auth()).updateUser({ password });
          return error;
        }),
    }),
    [state, take],
  );
  return <Context value={value}>{children}</Context>;
}
