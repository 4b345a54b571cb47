import type { Part } from "./recording";
import type { Pending } from "./sending";

/** A recording that has not become a voice yet, so that a reload does not lose it. */
export interface KeptRecording {
  blob: Blob;
  name: string;
  part: Part | null;
  pending: Pending | null;
}

const DATABASE = "understudy";
const STORE = "recordings";

function open(): Promise<IDBDatabase> {
  return new Promise((done, failed) => {
    const request = indexedDB.open(DATABASE, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE);
    request.onsuccess = () => done(request.result);
    request.onerror = () => failed(request.error);
    request.onblocked = () => failed(new Error("blocked"));
  });
}

async function within<T>(mode: IDBTransactionMode, work: (store: IDBObjectStore) => IDBRequest): Promise<T> {
  const database = await open();
  try {
    return await new Promise<T>((done, failed) => {
      const request = work(database.transaction(STORE, mode).objectStore(STORE));
      request.onsuccess = () => done(request.result as T);
      request.onerror = () => failed(request.error);
    });
  } finally {
    database.close();
  }
}

/** Null where there is none, or where the browser keeps nothing for this page. */
export async function keptRecording(userId: string): Promise<KeptRecording | null> {
  try {
    return (await within<KeptRecording | undefined>("readonly", (store) => store.get(userId))) ?? null;
  } catch {
    return null;
  }
}

/** Keeps a recording on this device for this person; null forgets it. It never fails: it is a second copy. */
export async function keepRecording(userId: string, recording: KeptRecording | null): Promise<void> {
  try {
    await within("readwrite", (store) =>
      recording === null ? store.delete(userId) : store.put(recording, userId),
    );
  } catch {
    // Full, or closed to this page: it lives as long as the page.
  }
}
