import { type InfiniteData, keepPreviousData, useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";

import { address, api, type Got } from "@/api/client";

export type ActivityPage = Got<"/api/v1/runs">;
export type Activity = ActivityPage["rows"][number];
export type Phase = Activity["phase"];

/** The filters of the list, as the address has them. */
export interface Filters {
  phase?: string;
  kind?: string;
  user?: string;
  q?: string;
  since?: string;
  all?: string;
}

export const PHASES: readonly { value: Phase; label: string }[] = [
  { value: "running", label: "Running" },
  { value: "waiting", label: "Waiting" },
  { value: "failed", label: "Failed" },
  { value: "success", label: "Succeeded" },
  { value: "cancelled", label: "Cancelled" },
];

export const SINCE: readonly { value: string; label: string; ms: number }[] = [
  { value: "1h", label: "Last hour", ms: 3_600_000 },
  { value: "24h", label: "Last 24 hours", ms: 86_400_000 },
  { value: "7d", label: "Last 7 days", ms: 7 * 86_400_000 },
];

const PAGE = 100;

function query(filters: Filters) {
  const span = SINCE.find((one) => one.value === filters.since);
  return {
    kind: filters.kind ? [filters.kind] : undefined,
    user: filters.user || undefined,
    q: filters.q || undefined,
    // By the minute, so that the same filter is the same request for a while.
    since_ms: span ? Math.floor((Date.now() - span.ms) / 60_000) * 60_000 : undefined,
    all: filters.all ? true : undefined,
  };
}

function matches(row: Activity, filters: Filters): boolean {
  return (
    (!filters.phase || row.phase === filters.phase) &&
    (!filters.kind || row.kind === filters.kind) &&
    (!filters.user || row.user === filters.user) &&
    (!filters.q || row.title.toLowerCase().includes(filters.q.toLowerCase()))
  );
}

/** The list, a page at a time, and what changes in it as it happens. */
export function useRuns(filters: Filters) {
  const client = useQueryClient();
  const key = ["runs", "list", filters];
  const found = useInfiniteQuery({
    queryKey: key,
    placeholderData: keepPreviousData,
    initialPageParam: undefined as string | undefined,
    queryFn: ({ pageParam, signal }) =>
      api.get("/api/v1/runs", {
        query: {
          ...query(filters),
          phase: filters.phase ? [filters.phase as Phase] : undefined,
          before: pageParam,
          limit: PAGE,
        },
        signal,
      }),
    getNextPageParam: (last) => last.next ?? undefined,
  });
  const latest = useRef(filters);
  latest.current = filters;
  const everyone = Boolean(filters.all);
  useEffect(() => {
    const source = new EventSource(
      address("/api/v1/runs/stream", {}, { all: everyone || undefined }),
    );
    source.addEventListener("run", (event) => {
      const row = JSON.parse((event as MessageEvent<string>).data) as Activity;
      const now = latest.current;
      client.setQueryData<InfiniteData<ActivityPage>>(["runs", "list", now], (data) =>
        data && placed(data, row, now),
      );
      void client.invalidateQueries({ queryKey: ["runs", "counts"] });
    });
    return () => source.close();
  }, [client, everyone]);
  return found;
}

function placed(
  now: InfiniteData<ActivityPage>,
  row: Activity,
  filters: Filters,
): InfiniteData<ActivityPage> {
  let known = false;
  const pages = now.pages.map((page) => ({
    ...page,
    rows: page.rows.map((old) => {
      if (old.id !== row.id) return old;
      known = true;
      return row;
    }),
  }));
  const first = pages[0];
  if (!known && first && matches(row, filters)) {
    const later = first.rows.findIndex((old) => old.created_ms <= row.created_ms);
    const at = later < 0 ? first.rows.length : later;
    first.rows = [...first.rows.slice(0, at), row, ...first.rows.slice(at)];
  }
  return { ...now, pages };
}

/** How many rows each phase has under the same filters. */
export function useCounts(filters: Filters) {
  return useQuery({
    queryKey: ["runs", "counts", filters],
    queryFn: ({ signal }) => api.get("/api/v1/runs/counts", { query: query(filters), signal }),
    staleTime: 2_000,
    placeholderData: (before) => before,
  });
}

/** The time now, every second while somebody needs it. */
export function useNow(active: boolean): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    if (!active) return;
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, [active]);
  return now;
}

/** True for what has not ended. */
export function isActive(phase: Phase): boolean {
  return phase === "running" || phase === "waiting";
}

/** Milliseconds that it took, or takes so far. */
export function took(row: Activity, now: number): number | null {
  const end = row.finished_ms ?? (isActive(row.phase) ? now : null);
  return end == null ? null : Math.max(0, end - row.created_ms);
}

/** A value once it has not changed for a moment. */
export function useSettled<T>(value: T, ms = 250): T {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), ms);
    return () => clearTimeout(timer);
  }, [value, ms]);
  return settled;
}
