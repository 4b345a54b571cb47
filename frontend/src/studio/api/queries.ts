import { useQuery } from "@tanstack/react-query";
import { answered, api } from "./client";
import { studioConfig } from "./config";

/** The keys of what is kept, in one place: whoever changes something says which of these are out of date. */
export const keys = {
  languages: ["languages"] as const,
  notice: ["notice"] as const,
  config: ["config"] as const,
  voices: ["voices"] as const,
  generations: ["generations"] as const,
  tasks: ["tasks"] as const,
  usage: ["usage"] as const,
  me: ["me"] as const,
};

/** Languages, provider and limits of the mode in force for this person; it may change at any moment. */
export function useLanguages() {
  return useQuery({
    queryKey: keys.languages,
    queryFn: () => answered(api.GET("/api/languages")),
    refetchInterval: 5000,
    staleTime: 2000,
  });
}

/** The sentence for tenants while something is being put right. */
export function useNotice() {
  return useQuery({
    queryKey: keys.notice,
    queryFn: () => answered(api.GET("/api/notice")),
    refetchInterval: 10_000,
  });
}

export function useConfig() {
  return useQuery({ queryKey: keys.config, queryFn: studioConfig, staleTime: Number.POSITIVE_INFINITY });
}
