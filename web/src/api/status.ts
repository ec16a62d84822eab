import { useSyncExternalStore } from "react";

// Whether the server answers, and whether it still knows us: what every call reports to.

export interface Status {
  connection: "ok" | "lost";
  session: "unknown" | "in" | "out" | "expired";
}

let status: Status = { connection: "ok", session: "unknown" };
const listeners = new Set<() => void>();

/** Notes a change; the shell shows it. */
export function setStatus(change: Partial<Status>): void {
  const next = { ...status, ...change };
  if (next.connection === status.connection && next.session === status.session) return;
  status = next;
  for (const listener of listeners) listener();
}

/** The status now. */
export function getStatus(): Status {
  return status;
}

function subscribe(listener: () => void) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** The status, as it changes. */
export function useStatus(): Status {
  return useSyncExternalStore(subscribe, getStatus);
}
