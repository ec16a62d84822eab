// Statements that run: they go on when one looks at another tab, or when the connection is lost.

import { useSyncExternalStore } from "react";

import { ApiError, ConnectionError } from "@/api/errors";
import { getStatus } from "@/api/status";

import type { StatementView, Submission } from "./calls";
import { calls } from "./calls";

export interface Run {
  phase: "starting" | "running" | "done" | "failed" | "gone";
  view: StatementView | null;
  error: unknown;
  sql: string;
  /** Where the statement begins in the tab's text. */
  offset: number;
  startedAt: number;
}

const WAIT_SECONDS = 2;
const AT_LEAST_MS = 120;
const RETRY_MS = 1500;
const FINAL = new Set(["FINISHED", "FAILED", "CANCELED"]);

const runs = new Map<string, Run>();
const listeners = new Set<() => void>();
/** Cancelled before the server had told their ids. */
const unwanted = new WeakSet<Run>();

function set(tab: string, run: Run): void {
  runs.set(tab, run);
  for (const listener of listeners) listener();
}

/** Starts a statement in a tab; `begun` gets its id. */
export async function start(tab: string, body: Submission, offset: number, begun: (id: string) => void): Promise<void> {
  const run: Run = { phase: "starting", view: null, error: null, sql: body.sql, offset, startedAt: Date.now() };
  set(tab, run);
  try {
    const view = await calls.submit(body);
    if (runs.get(tab) !== run || unwanted.has(run)) await calls.cancel(view.id);
    if (runs.get(tab) !== run) return; // the tab was closed meanwhile
    begun(view.id);
    await follow(tab, { ...run, phase: "running", view });
  } catch (error) {
    if (runs.get(tab) === run) set(tab, { ...run, phase: "failed", error });
  }
}

/** Shows a statement of before a reload again, if the server still has it. */
export async function resume(tab: string, statement: { id: string; sql: string; offset: number }): Promise<void> {
  if (runs.has(tab)) return;
  const run: Run = { phase: "starting", view: null, error: null, sql: statement.sql, offset: statement.offset, startedAt: Date.now() };
  set(tab, run);
  try {
    const view = await calls.status(statement.id, 0);
    await follow(tab, { ...run, phase: "running", view });
  } catch (error) {
    const gone = error instanceof ApiError && (error.status === 404 || error.status === 410);
    set(tab, { ...run, phase: gone ? "gone" : "failed", error });
  }
}

/** Stops a tab's statement. */
export async function cancel(tab: string): Promise<void> {
  const run = runs.get(tab);
  if (run?.view) await calls.cancel(run.view.id);
  else if (run?.phase === "starting") unwanted.add(run);
}

/** Forgets a closed tab's run; what runs is stopped. */
export function forget(tab: string): void {
  const run = runs.get(tab);
  runs.delete(tab);
  if (run?.phase === "running" && run.view) calls.cancel(run.view.id).catch(() => undefined);
}

async function follow(tab: string, first: Run): Promise<void> {
  let run = first;
  set(tab, run);
  const id = run.view?.id ?? "";
  while (run.view && !FINAL.has(run.view.state)) {
    const asked = Date.now();
    try {
      const view = await calls.status(id, WAIT_SECONDS);
      if (runs.get(tab)?.view?.id !== id) return; // another one was started, or the tab is closed
      run = { ...run, view };
      set(tab, run);
    } catch (error) {
      if (!(error instanceof ConnectionError) && getStatus().session !== "expired") throw error;
      // The statement goes on without us; the banner or the login says what is wrong.
      await sleep(RETRY_MS);
      if (runs.get(tab)?.view?.id !== id) return;
    }
    await sleep(AT_LEAST_MS - (Date.now() - asked));
  }
  if (runs.get(tab)?.view?.id !== id) return;
  const failed = run.view?.state !== "FINISHED";
  set(tab, { ...run, phase: failed ? "failed" : "done", error: run.view?.error ?? null });
}

function sleep(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, Math.max(0, ms)));
}

function subscribe(listener: () => void) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** A tab's run, as it goes on. */
export function useRun(tab: string): Run | null {
  return useSyncExternalStore(subscribe, () => runs.get(tab) ?? null);
}

/** All tabs whose statement runs now. */
export function isRunning(run: Run | null | undefined): boolean {
  return run?.phase === "starting" || run?.phase === "running";
}
