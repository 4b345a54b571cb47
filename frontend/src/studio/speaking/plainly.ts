import { generate as words } from "@/strings/generate";

const OF_PROVIDER = /^The (connection to the )?speech provider/;

/** Whether the sentence is about what went on between the service and a provider: nothing the person did. */
export function isOfProvider(sentence: string): boolean {
  return OF_PROVIDER.test(sentence);
}

/** Why a speech was not made, in words of the person who asked for it. */
export function plainly(sentence: string): string {
  return isOfProvider(sentence) ? words.providerFailed : sentence;
}
