import { useNavigate } from "@tanstack/react-router";
import { useVirtualizer } from "@tanstack/react-virtual";
import { Activity as Icon } from "lucide-react";
import type { KeyboardEvent } from "react";
import { useEffect, useMemo, useRef } from "react";

import { Page } from "@/shell/Page";
import { useUrl } from "@/shell/url";
import { Awaiting, Badge, Button, cx, EmptyState, SearchInput, Select, Switch } from "@/ui";
import { ago, bytes, count, dateTime, duration } from "@/ui/format";

import { type Activity, type Filters, isActive, PHASES, SINCE, took, useCounts, useNow, useRuns, useSettled } from "./model";
import { PhaseBadge } from "./PhaseBadge";

const ROW = 32;
const COLUMNS = "grid-cols-[6.5rem_minmax(12rem,1fr)_5rem_7rem_7rem_5.5rem_5.5rem_5.5rem]";
const KINDS = ["query", "sql", "python", "pyspark", "jar"];

/** Everything that runs or ran. */
export function RunsPage() {
  const [filters, setFilters] = useUrl<Filters>();
  const q = useSettled(filters.q);
  const asked = useMemo(() => ({ ...filters, q }), [filters, q]);
  const found = useRuns(asked);
  const counts = useCounts(asked);
  const rows = useMemo(() => found.data?.pages.flatMap((page) => page.rows) ?? [], [found.data]);
  const mayAll = found.data?.pages[0]?.may_see_all ?? Boolean(filters.all);
  const filtered = Object.values(filters).some(Boolean);
  return (
    <Page
      crumbs={[{ label: "Runs" }]}
      scroll={false}
      actions={
        mayAll && (
          <Switch
            checked={Boolean(filters.all)}
            onChange={(all) => setFilters({ all: all ? "1" : undefined, user: undefined })}
            label="Everyone's"
          />
        )
      }
    >
      <div className="bg-surface flex shrink-0 flex-wrap items-center gap-2 border-b px-4 py-2">
        <SearchInput
          value={filters.q ?? ""}
          onChange={(q) => setFilters({ q: q || undefined })}
          placeholder="Search text, name, error"
          className="w-64"
        />
        <div role="group" aria-label="State" className="flex flex-wrap items-center gap-1">
          <Chip label="All" on={!filters.phase} onClick={() => setFilters({ phase: undefined })} />
          {PHASES.map(({ value, label }) => (
            <Chip
              key={value}
              label={label}
              count={counts.data?.[value]}
              on={filters.phase === value}
              onClick={() => setFilters({ phase: filters.phase === value ? undefined : value })}
            />
          ))}
        </div>
        <span className="flex-1" />
        <Select
          label="Kind"
          className="!w-32"
          value={filters.kind ?? ""}
          onChange={(kind) => setFilters({ kind: kind || undefined })}
          options={[
            { value: "", label: "Every kind" },
            ...KINDS.map((kind) => ({ value: kind, label: kind === "query" ? "Queries" : `${kind} jobs` })),
          ]}
        />
        <Select
          label="Time"
          className="!w-36"
          value={filters.since ?? ""}
          onChange={(since) => setFilters({ since: since || undefined })}
          options={[{ value: "", label: "Any time" }, ...SINCE]}
        />
      </div>
      {filters.user && (
        <p className="bg-surface-2 text-text-2 flex items-center gap-2 border-b px-4 py-1">
          Only of <bdi className="font-medium">{filters.user}</bdi>
          <Button size="sm" variant="ghost" onClick={() => setFilters({ user: undefined })}>
            Show all
          </Button>
        </p>
      )}
      <Awaiting of={found} className="h-6" />
      {found.data && rows.length === 0 && (
        <EmptyState
          icon={Icon}
          title={filtered ? "Nothing matches these filters" : "Nothing has run yet"}
          actions={
            filtered && (
              <Button
                onClick={() =>
                  setFilters({ phase: undefined, kind: undefined, user: undefined, q: undefined, since: undefined })
                }
              >
                Clear the filters
              </Button>
            )
          }
        >
          Queries and job runs appear here the moment they begin, with their logs and their cost.
        </EmptyState>
      )}
      {rows.length > 0 && (
        <List
          rows={rows}
          more={found.hasNextPage && !found.isFetchingNextPage ? () => void found.fetchNextPage() : null}
          onUser={filters.all ? (user) => setFilters({ user }) : undefined}
        />
      )}
    </Page>
  );
}

function Chip(props: { label: string; count?: number; on: boolean; onClick: () => void }) {
  return (
    <button
      type="button"
      aria-pressed={props.on}
      onClick={props.onClick}
      className={cx(
        "inline-flex h-6 items-center gap-1.5 rounded-full border px-2.5 text-sm",
        props.on ? "bg-selected border-accent text-text font-medium" : "bg-surface text-text-2 hover:bg-hover",
      )}
    >
      {props.label}
      {props.count != null && props.count > 0 && <span className="tabular-nums">{count(props.count)}</span>}
    </button>
  );
}

function List(props: {
  rows: readonly Activity[];
  more: (() => void) | null;
  onUser?: (user: string) => void;
}) {
  const { rows, more, onUser } = props;
  const navigate = useNavigate();
  const scroller = useRef<HTMLDivElement>(null);
  const now = useNow(rows.some((row) => isActive(row.phase)));
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW,
    overscan: 15,
    getItemKey: (index) => rows[index]?.id ?? index,
  });
  const seen = virtual.getVirtualItems();
  const last = seen.at(-1)?.index ?? 0;
  useEffect(() => {
    if (more && last >= rows.length - 20) more();
  }, [last, more, rows.length]);
  const open = (row: Activity) => void navigate({ to: `/runs/${encodeURIComponent(row.id)}` });
  return (
    <div ref={scroller} className="min-h-0 flex-1 overflow-auto">
      <div role="table" aria-label="Runs" aria-rowcount={rows.length + 1} className="min-w-[58rem]">
        <div
          role="row"
          className={cx(
            "bg-surface text-text-2 sticky top-0 z-10 grid h-7 items-center gap-3 border-b px-4 text-sm font-medium",
            COLUMNS,
          )}
        >
          {["State", "What", "Kind", "User", "Began"].map((name) => (
            <span key={name} role="columnheader">
              {name}
            </span>
          ))}
          {["Took", "Rows", "Scanned"].map((name) => (
            <span key={name} role="columnheader" className="text-right">
              {name}
            </span>
          ))}
        </div>
        <div role="rowgroup" className="relative" style={{ height: virtual.getTotalSize() }}>
          {seen.map(({ index, start, key }) => {
            const row = rows[index];
            if (!row) return null;
            return (
              <div
                key={key}
                role="row"
                aria-rowindex={index + 2}
                tabIndex={0}
                onClick={() => open(row)}
                onKeyDown={(event) => walk(event, () => open(row))}
                style={{ transform: `translateY(${start}px)`, height: ROW }}
                className={cx(
                  "hover:bg-hover absolute inset-x-0 top-0 grid cursor-default items-center gap-3 border-b px-4 outline-offset-[-2px]",
                  COLUMNS,
                )}
              >
                <span role="cell">
                  <PhaseBadge phase={row.phase} state={row.state} />
                </span>
                <span role="cell" className="flex min-w-0 items-center gap-2">
                  <bdi className={cx("truncate", row.kind === "query" && "mono")} title={row.title.slice(0, 600)}>
                    {row.title.slice(0, 300) || "(no text)"}
                  </bdi>
                  {row.error_code && (
                    <span className="text-bad mono shrink-0 text-xs" title={row.error ?? undefined}>
                      {row.error_code}
                    </span>
                  )}
                </span>
                <span role="cell">
                  <Badge>{row.kind}</Badge>
                </span>
                <span role="cell" className="text-text-2 truncate">
                  {onUser ? (
                    <button
                      type="button"
                      className="hover:text-accent max-w-full truncate"
                      onClick={(event) => {
                        event.stopPropagation();
                        onUser(row.user);
                      }}
                    >
                      {row.user}
                    </button>
                  ) : (
                    row.user
                  )}
                  {row.impersonator && <span title={`by ${row.impersonator}`}> · {row.impersonator}</span>}
                </span>
                <span role="cell" className="text-text-2 truncate" title={dateTime(row.created_ms)}>
                  {ago(row.created_ms, Math.max(now, row.created_ms))}
                </span>
                <span role="cell" className="num">
                  {duration(took(row, now))}
                </span>
                <span role="cell" className="num">
                  {row.rows == null ? "" : count(row.rows)}
                </span>
                <span role="cell" className="num">
                  {row.scanned_bytes ? bytes(row.scanned_bytes) : ""}
                </span>
              </div>
            );
          })}
        </div>
      </div>
    </div>
  );
}

function walk(event: KeyboardEvent<HTMLDivElement>, open: () => void) {
  if (event.target !== event.currentTarget) return;
  const row = event.currentTarget;
  const step = { ArrowDown: row.nextElementSibling, ArrowUp: row.previousElementSibling }[event.key];
  if (step instanceof HTMLElement) step.focus();
  else if (event.key === "Enter") open();
  else return;
  event.preventDefault();
}
