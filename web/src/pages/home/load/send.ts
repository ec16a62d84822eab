// Sends files: with their progress, which fetch does not tell, and a way to stop.

import { ApiError, ConnectionError } from "@/api/client";
import { bytes } from "@/ui/format";

/** A file that has arrived, by the id that loads name it with. */
export interface Sent {
  id: string;
  name: string;
  bytes: number;
  /** How many files it holds, where it was taken from a folder. */
  files?: number;
}

/** Sends one file as it is; `progress` hears the bytes sent so far. Nothing of it stays after an abort. */
export function send(file: File, progress: (bytes: number) => void, signal: AbortSignal): Promise<Sent> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", `/api/v1/uploads?name=${encodeURIComponent(file.name.slice(-255))}`);
    request.setRequestHeader("content-type", "application/octet-stream");
    request.responseType = "json";
    request.upload.onprogress = (event) => progress(event.loaded);
    request.onload = () => {
      const body = (request.response ?? {}) as Record<string, unknown>;
      if (request.status >= 400) reject(new ApiError(request.status, body));
      else resolve({ id: String(body.id), bytes: Number(body.bytes), name: file.name });
    };
    request.onerror = () => reject(new ConnectionError());
    request.onabort = () => reject(new DOMException("cancelled", "AbortError"));
    signal.addEventListener("abort", () => request.abort(), { once: true });
    if (signal.aborted) request.abort();
    else request.send(file);
  });
}

/** Why a file cannot be sent at all; null when it can. */
export function refusal(file: File, limits: { bytes: number; by_disk: boolean; extensions: readonly string[] }): string | null {
  const name = file.name.toLowerCase();
  if (!limits.extensions.some((end) => name.endsWith(end))) {
    return `Files of this kind cannot be loaded: ${limits.extensions.filter((end) => !end.endsWith(".gz")).join(", ")} can, text also as .gz.`;
  }
  if (file.size > limits.bytes) {
    return `The file has ${bytes(file.size)}; ${limits.by_disk ? "the server's disk has room for" : "this server takes"} ${bytes(limits.bytes)} at most.`;
  }
  if (file.size === 0) return "The file is empty.";
  return null;
}
