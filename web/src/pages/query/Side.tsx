import { useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { Bookmark, History as HistoryIcon, Trash2 } from "lucide-react";
import { useState } from "react";

import { getStored } from "@/shell/stored";
import { Badge, Button, EmptyState, ErrorBox, IconButton, SearchInput, Skeleton, StateBadge, Tabs, toast, toastError } from "@/ui";
import { ago, bytes, count, dateTime, duration } from "@/ui/format";

import type { HistoryRow, SavedQuery } from "./calls";
import { calls } from "./calls";

export type SidePanel = "saved" | "history";

export interface SideProps {
  panel: SidePanel;
  onPanel: (panel: SidePanel) => void;
  user: string;
  onSaved: (query: SavedQuery) => void;
  onHistory: (row: HistoryRow, sql: string, exact: boolean) => void;
}

/** Saved queries and what ran, beside the editor. */
export function Side({ panel, onPanel, user, onSaved, onHistory }: SideProps) {
  return (
    <aside aria-label="Saved queries and history" className="bg-surface flex min-h-0 flex-1 flex-col border-r">
      <Tabs
        fill
        label="Side panel"
        value={panel}
        onChange={(value) => onPanel(value as SidePanel)}
        items={[
          { value: "saved", label: "Saved", icon: Bookmark },
          { value: "history", label: "History", icon: HistoryIcon },
        ]}
      >
        {panel === "saved" ? <Saved onOpen={onSaved} /> : <HistoryList user={user} onOpen={onHistory} />}
      </Tabs>
    </aside>
  );
}

function Saved({ onOpen }: { onOpen: (query: SavedQuery) => void }) {
  const client = useQueryClient();
  const [typed, setTyped] = useState("");
  const list = useQuery({ queryKey: ["saved-queries"], queryFn: ({ signal }) => calls.saved(signal) });
  const wanted = typed.toLowerCase();
  const shown = list.data?.filter((one) => `${one.name} ${one.description ?? ""}`.toLowerCase().includes(wanted));
  const remove = async (query: SavedQuery) => {
    try {
      await calls.remove(query.id);
      await client.invalidateQueries({ queryKey: ["saved-queries"] });
      toast(`Deleted “${query.name}”`, {
        undo: async () => {
          const { name, sql, dialect, schema, description, chart, share } = query;
          await calls.create({ name, sql, dialect, schema, description, chart, share });
          await client.invalidateQueries({ queryKey: ["saved-queries"] });
        },
      });
    } catch (problem) {
      toastError(problem);
    }
  };
  return (
    <>
      <div className="p-2">
        <SearchInput value={typed} onChange={setTyped} placeholder="Find a saved query" />
      </div>
      <div className="min-h-0 flex-1 overflow-auto px-1 pb-2">
        {list.error ? <Failed error={list.error} retry={() => void list.refetch()} /> : !shown ? <Waiting /> : null}
        {shown?.length === 0 && (
          <EmptyState icon={Bookmark} title={typed ? "No saved query is called so" : "Nothing saved yet"}>
            {!typed && "Save a query to find it again, and to share it with a role."}
          </EmptyState>
        )}
        <ul>
          {shown?.map((query) => (
            <li key={query.id} className="group hover:bg-hover relative rounded-md">
              <button type="button" className="w-full px-2 py-1.5 pr-8 text-left" onClick={() => onOpen(query)}>
                <span className="flex items-center gap-1.5">
                  <bdi className="truncate font-medium">{query.name}</bdi>
                  {query.share && <Badge tone="accent">{query.share}</Badge>}
                </span>
                <span className="text-text-3 block truncate text-sm">
                  {query.mine ? "" : `${query.owner} · `}
                  {ago(query.updated_ms)}
                </span>
              </button>
              {query.mine && (
                <span className="absolute top-2 right-1 opacity-0 group-focus-within:opacity-100 group-hover:opacity-100">
                  <IconButton size="sm" icon={Trash2} label={`Delete ${query.name}`} onClick={() => void remove(query)} />
                </span>
              )}
            </li>
          ))}
        </ul>
      </div>
    </>
  );
}

const PAGE = 50;

function HistoryList({ user, onOpen }: { user: string; onOpen: SideProps["onHistory"] }) {
  const [typed, setTyped] = useState("");
  const pages = useInfiniteQuery({
    queryKey: ["history", typed],
    queryFn: ({ signal, pageParam }) => calls.history({ limit: PAGE, text: typed || undefined, before_ms: pageParam ?? undefined }, signal),
    initialPageParam: null as number | null,
    getNextPageParam: (last) => (last.length < PAGE ? undefined : (last.at(-1)?.created_ms ?? undefined)),
    refetchInterval: 10_000,
  });
  const rows = pages.data?.pages.flat();
  const own = getStored<Record<string, string>>(`query.${user}.texts`, {});
  return (
    <>
      <div className="p-2">
        <SearchInput value={typed} onChange={setTyped} placeholder="Find in what ran" />
      </div>
      <div className="min-h-0 flex-1 overflow-auto px-1 pb-2">
        {pages.error ? <Failed error={pages.error} retry={() => void pages.refetch()} /> : !rows ? <Waiting /> : null}
        {rows?.length === 0 && (
          <EmptyState icon={HistoryIcon} title={typed ? "Nothing that ran reads so" : "Nothing has run yet"}>
            Every statement is listed here with its time and its cost.
          </EmptyState>
        )}
        <ul>
          {rows?.map((row) => {
            const exact = row.sql ?? own[row.id] ?? null;
            const took = row.finished_ms === null ? null : row.finished_ms - row.created_ms;
            return (
              <li key={row.id}>
                <button
                  type="button"
                  className="hover:bg-hover flex w-full flex-col gap-0.5 rounded-md px-2 py-1.5 text-left"
                  title={row.error_message ?? dateTime(row.created_ms)}
                  onClick={() => onOpen(row, exact ?? row.text, exact !== null)}
                >
                  <span className="mono w-full truncate">{(exact ?? row.text).replaceAll(/\s+/g, " ").slice(0, 160)}</span>
                  <span className="text-text-3 flex w-full items-center gap-2 overflow-hidden text-xs whitespace-nowrap tabular-nums">
                    <StateBadge state={row.state} />
                    <span>{ago(row.created_ms)}</span>
                    <span>{took === null ? "" : duration(took)}</span>
                    <span>{row.state === "FINISHED" ? `${count(row.result_rows)} rows` : ""}</span>
                    <span className="truncate">{row.scanned_bytes ? bytes(row.scanned_bytes) : ""}</span>
                  </span>
                  {(row.principal_name !== user || row.role) && (
                    <span className="text-text-3 text-xs">
                      {row.principal_name}
                      {row.role ? ` as ${row.role}` : ""}
                    </span>
                  )}
                </button>
              </li>
            );
          })}
        </ul>
        {pages.hasNextPage && (
          <Button size="sm" variant="ghost" className="w-full" busy={pages.isFetchingNextPage} onClick={() => void pages.fetchNextPage()}>
            Earlier
          </Button>
        )}
      </div>
    </>
  );
}

function Failed({ error, retry }: { error: unknown; retry: () => void }) {
  return (
    <div className="p-2">
      <ErrorBox error={error} onRetry={retry} />
    </div>
  );
}

function Waiting() {
  return (
    <div className="p-2">
      <Skeleton lines={5} className="h-9" />
    </div>
  );
}
