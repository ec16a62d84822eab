import type { components } from "@/api/client";

import { go } from "./navigation";

/** A query to open in a new tab of the Query page. */
export interface QueryDraft {
  sql: string;
  schema?: string;
  dialect?: components["schemas"]["Dialect"];
  title?: string;
  /** Runs it at once. Never taken from an address: a link from elsewhere must not run anything. */
  run?: boolean;
}

/** Where a saved query opens: in the tab that has it, else in a new one. */
export function pageOfSaved(id: string): string {
  return `/query?saved=${encodeURIComponent(id)}`;
}

let waiting: QueryDraft[] = [];
const listeners = new Set<() => void>();

/** Opens the Query page with this query in a new tab. */
export function openQuery(draft: QueryDraft): void {
  waiting.push(draft);
  go("/query");
  for (const listener of listeners) listener();
}

/** The Query page takes what was handed over. */
export function takeDrafts(): QueryDraft[] {
  const taken = waiting;
  waiting = [];
  return taken;
}

/** Calls back when something was handed over while the page is open already. */
export function onDraft(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
