import { ApiError } from "@/shared/problems";
import { clone as words } from "@/strings/clone";

/** PUTs a file by XMLHttpRequest: fetch does not tell how much of it was sent. */
export function putFile(
  url: string,
  file: Blob,
  progress: (sent: number, of: number) => void,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((done, failed) => {
    const request = new XMLHttpRequest();
    const abort = () => request.abort();
    const settle = (outcome: () => void) => {
      signal.removeEventListener("abort", abort);
      outcome();
    };
    request.upload.addEventListener("progress", (event) => progress(event.loaded, event.total || file.size));
    request.addEventListener("load", () =>
      settle(() => {
        if (request.status >= 200 && request.status < 300) done();
        else failed(problemIn(request));
      }),
    );
    request.addEventListener("error", () => settle(() => failed(new ApiError(0, words.uploadLost))));
    request.addEventListener("abort", () => settle(() => failed(new DOMException("", "AbortError"))));
    if (signal.aborted) {
      failed(new DOMException("", "AbortError"));
      return;
    }
    signal.addEventListener("abort", abort);
    request.open("PUT", url);
    request.setRequestHeader("Content-Type", file.type);
    request.send(file);
  });
}

function problemIn(request: XMLHttpRequest): ApiError {
  let detail: string = words.uploadFailed;
  try {
    const body = JSON.parse(request.responseText) as { detail?: unknown };
    if (typeof body.detail === "string") detail = body.detail;
  } catch {
    // An object store answers XML.
  }
  const after = Number(request.getResponseHeader("Retry-After") ?? Number.NaN);
  return new ApiError(request.status, detail, Number.isFinite(after) ? after : null);
}
