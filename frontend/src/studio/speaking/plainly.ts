import { generate as words } from "@/strings/generate";

const OF_PROVIDER = /^The (connection to the )?speech provider/;
const REFUSED_TEXT = /^The speech provider refused the input/;

/** Whether the sentence is about what went on between the service and a provider: nothing the person did. */
export function isOfProvider(sentence: string): boolean {
  return OF_PROVIDER.test(sentence);
}

/** Why a speech was not made, in words of the person who asked for it. */
export function plainly(sentence: string): string {
  if (REFUSED_TEXT.test(sentence)) return words.providerRefused;
  return isOfProvider(sentence) ? words.providerFailed : sentence;
}
