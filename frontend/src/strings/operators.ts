/** Who did something. */
const machines: Record<string, string> = {
  guard: "the guard",
  environment: "the environment file",
  drill: "a run of",
};

const providers: Record<string, string> = { qwen: "Qwen", modal: "Modal" };

export const operators = { machines, providers } as const;

/** A provider as persons say it. */
export function providerName(name: string | null | undefined): string {
  return name ? (providers[name] ?? name) : "no provider";
}
