import { useSyncExternalStore } from "react";
import { common } from "@/strings/common";
import { Banner } from "./layout";

function subscribe(listener: () => void): () => void {
  window.addEventListener("online", listener);
  window.addEventListener("offline", listener);
  return () => {
    window.removeEventListener("online", listener);
    window.removeEventListener("offline", listener);
  };
}

/** Whether the device has a network at all. */
export function useOnline(): boolean {
  return useSyncExternalStore(subscribe, () => navigator.onLine);
}

export function OfflineBanner() {
  return useOnline() ? null : <Banner tone="warn">{common.offline}</Banner>;
}
