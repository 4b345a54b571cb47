import { answered, api } from "../api/client";

/** A link to an object as this page's own address: the same store, and the content security policy lets it pass. */
export function ownOrigin(link: string): string {
  const url = new URL(link, window.location.origin);
  return url.pathname.startsWith("/objects/") ? url.pathname + url.search : link;
}

/** Asks for a link to the stored audio of a generation; it answers for some minutes only. */
export async function audioLink(generationId: string): Promise<string> {
  const { url } = await answered(
    api.GET("/api/generations/{id}/audio", {
      params: { path: { id: generationId }, query: { redirect: false } },
    }) as Promise<{ data?: { url: string } }>,
  );
  return ownOrigin(url);
}

/** Asks for a link to the recording of a voice. */
export async function previewLink(voiceId: string): Promise<string> {
  const { url } = await answered(
    api.GET("/api/voices/{id}/preview", {
      params: { path: { id: voiceId }, query: { redirect: false } },
    }) as Promise<{ data?: { url: string } }>,
  );
  return ownOrigin(url);
}

const NAME_CHARS = 60;
/** Long enough for a browser to have begun. */
const KEPT_MS = 60_000;

/** A file's name of a voice and the beginning of a text; the ending is the link's. */
export function fileName(title: string, about: string, link: string): string {
  const ending = /\.(\w{2,4})(?:$|\?)/.exec(link)?.[1] ?? "mp3";
  const plain = `${title} ${about}`
    .replace(/[^\p{L}\p{N}]+/gu, "-")
    .replace(/^-|-$/g, "")
    .slice(0, NAME_CHARS);
  return `${plain || "speech"}.${ending}`;
}

/** Keeps audio as a file of that name; where it cannot be fetched here, the browser follows the link itself. */
export async function saveAudio(link: string, name: string): Promise<void> {
  const audio = await fetch(ownOrigin(link)).catch(() => null);
  if (!audio?.ok) {
    saveAs(link, name);
    return;
  }
  const kept = URL.createObjectURL(await audio.blob());
  saveAs(kept, name);
  setTimeout(() => URL.revokeObjectURL(kept), KEPT_MS);
}

/** Lets the browser keep what a link leads to as a file. */
export function saveAs(link: string, name: string): void {
  const anchor = document.createElement("a");
  anchor.href = ownOrigin(link);
  anchor.download = name;
  document.body.append(anchor);
  anchor.click();
  anchor.remove();
}
