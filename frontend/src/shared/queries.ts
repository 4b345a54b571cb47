import { QueryClient } from "@tanstack/react-query";
import { ApiError } from "./problems";

const TRIES = 3;

/** One client an app: tries again what may succeed, and never what was refused. */
export function makeQueryClient(): QueryClient {
  return new QueryClient({
    defaultOptions: {
      queries: {
        staleTime: 5000,
        networkMode: "always",
        retry: (failures, error) => failures < TRIES && error instanceof ApiError && error.retryable,
        retryDelay: (failures, error) =>
          error instanceof ApiError && error.retryAfterS !== null
            ? error.retryAfterS * 1000
            : Math.min(1000 * 2 ** failures, 8000),
      },
      mutations: { retry: false, networkMode: "always" },
    },
  });
}
