// The open queries: kept in the browser as they are typed, so that no reload loses a word.

import { useSyncExternalStore } from "react";

import type { ChartSpec } from "@/chart";
import { getStored, setStored } from "@/shell/stored";
import { toast } from "@/ui";

import type { Dialect, Engine, SavedQuery } from "./calls";

export interface QueryTab {
  id: string;
  title: string;
  sql: string;
  dialect: Dialect;
  /** Who is to run it; not there in tabs of before there was a choice. */
  engine?: Engine;
  schema: string | null;
  role: string | null;
  /** The saved query that this is, and what was last read of it. */
  saved: { id: string; version: number; name: string; sql: string; share: string | null; description: string } | null;
  /** The statement that ran last, to show its result again after a reload. */
  statement: { id: string; sql: string; offset: number } | null;
  chart: ChartSpec | null;
}

const WRITE_MS = 300;

/** All tabs of one user in this browser. */
export class Tabs {
  private tabs: readonly QueryTab[];
  private readonly listeners = new Set<() => void>();
  private readonly dirty = new Set<string>();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private warned = false;

  constructor(private readonly user: string) {
    this.tabs = this.ids().flatMap((id) => {
      const tab = getStored<QueryTab | null>(this.key(id), null);
      return tab ? [tab] : [];
    });
    window.addEventListener("pagehide", () => this.flush());
    document.addEventListener("visibilitychange", () => this.flush());
  }

  readonly get = (): readonly QueryTab[] => this.tabs;

  readonly subscribe = (listener: () => void) => {
    this.listeners.add(listener);
    return () => {
      this.listeners.delete(listener);
    };
  };

  /** A new tab, after the others. */
  open(given: Partial<QueryTab> = {}): QueryTab {
    const last = this.tabs.at(-1);
    const tab: QueryTab = {
      id: crypto.randomUUID().slice(0, 8),
      title: this.freeTitle(),
      sql: "",
      dialect: last?.dialect ?? "trino",
      engine: "auto",
      schema: last?.schema ?? null,
      role: last?.role ?? null,
      saved: null,
      statement: null,
      chart: null,
      ...given,
    };
    this.set([...this.tabs, tab]);
    this.write(tab.id);
    this.setIds([...this.ids(), tab.id]);
    return tab;
  }

  /** Changes a tab; written to the browser a moment later. */
  change(id: string, change: Partial<QueryTab>): void {
    if (!this.tabs.some((tab) => tab.id === id)) return;
    this.set(this.tabs.map((tab) => (tab.id === id ? { ...tab, ...change } : tab)));
    this.dirty.add(id);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.flush(), WRITE_MS);
  }

  /** Closes a tab; returns what brings it back to its place. */
  close(id: string): () => void {
    const at = this.tabs.findIndex((tab) => tab.id === id);
    const tab = this.tabs[at];
    if (!tab) return () => undefined;
    this.set(this.tabs.filter((one) => one.id !== id));
    this.setIds(this.ids().filter((one) => one !== id));
    setStored(this.key(id), undefined);
    return () => {
      this.set([...this.tabs.slice(0, at), tab, ...this.tabs.slice(at)]);
      this.write(id);
      this.setIds([...this.ids().slice(0, at), id, ...this.ids().slice(at)]);
    };
  }

  private freeTitle(): string {
    const taken = new Set(this.tabs.map((tab) => tab.title));
    for (let number = 1; ; number += 1) {
      if (!taken.has(`Query ${number}`)) return `Query ${number}`;
    }
  }

  private set(tabs: readonly QueryTab[]): void {
    this.tabs = tabs;
    for (const listener of this.listeners) listener();
  }

  private flush(): void {
    clearTimeout(this.timer);
    for (const id of this.dirty) this.write(id);
    this.dirty.clear();
  }

  private write(id: string): void {
    const tab = this.tabs.find((one) => one.id === id);
    if (!tab || setStored(this.key(id), tab) || this.warned) return;
    this.warned = true;
    toast("The browser has no room for more drafts: save this query, or it is lost with the page", { tone: "bad" });
  }

  // Windows of one browser share the list: it is read anew at each change of it.
  private ids(): string[] {
    const kept = getStored<unknown>(`query.${this.user}.tabs`, []);
    return Array.isArray(kept) ? kept.filter((id): id is string => typeof id === "string") : [];
  }

  private setIds(ids: string[]): void {
    setStored(`query.${this.user}.tabs`, [...new Set(ids)]);
  }

  private key(id: string): string {
    return `query.${this.user}.tab.${id}`;
  }
}

let open: { user: string; tabs: Tabs } | null = null;

/** The tabs of who is logged in. */
export function tabsOf(user: string): Tabs {
  if (open?.user !== user) open = { user, tabs: new Tabs(user) };
  return open.tabs;
}

/** The tabs, as they change. */
export function useTabs(tabs: Tabs): readonly QueryTab[] {
  return useSyncExternalStore(tabs.subscribe, tabs.get);
}

/** What a tab keeps of the saved query that it shows. */
export function savedPart(query: SavedQuery): Partial<QueryTab> {
  return {
    title: query.name,
    sql: query.sql,
    dialect: query.dialect,
    schema: query.schema,
    // The server keeps whatever a page of ours wrote there.
    chart: query.chart as ChartSpec | null,
    saved: { id: query.id, version: query.version, name: query.name, sql: query.sql, share: query.share, description: query.description },
  };
}

/** True when what is typed is not what is saved. */
export function unsaved(tab: QueryTab): boolean {
  return tab.saved ? tab.sql !== tab.saved.sql : false;
}
