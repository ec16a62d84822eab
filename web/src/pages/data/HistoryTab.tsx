import { useQuery } from "@tanstack/react-query";
import { ArrowLeftRight, EllipsisVertical, GitBranch, History as Clock, Play, RotateCcw, Table2, Tag } from "lucide-react";
import { type ReactNode, useState } from "react";

import { api } from "@/api/client";
import { openQuery } from "@/shell/openQuery";
import { useUrl } from "@/shell/url";
import { Badge, Button, Checkbox, EmptyState, ErrorBox, IconButton, KeyValue, Menu, Table, type TableColumn } from "@/ui";
import { ago, bytes, count, dateTime } from "@/ui/format";

import { sqlTable, tablePath } from "./names";
import type { Diff, FileRow, History, Overview, SnapshotRow } from "./types";

/** The states that the table went through, what changed between two, and how to go back. */
export function HistoryTab({ overview }: { overview: Overview }): ReactNode {
  const { schema, name } = overview;
  const table = tablePath(schema, name);
  const [url, setUrl] = useUrl<{ tab?: string; snapshot?: string; compare?: string }>();
  const [chosen, setChosen] = useState<readonly string[]>([]);
  const history = useQuery({
    queryKey: ["data", "history", schema, name],
    queryFn: ({ signal }) => api.get("/api/v1/tables/{table}/history", { path: { table }, signal }),
    retry: false,
  });
  if (history.error) return <div className="p-3"><ErrorBox error={history.error} onRetry={() => void history.refetch()} /></div>;
  const found = history.data;
  const place = new Map((found?.snapshots ?? []).map((each, index) => [each.id, index]));
  const compare = (ids: readonly string[]) => {
    // The older one first, whichever was chosen first.
    const [after, before] = [...ids].sort((one, other) => (place.get(one) ?? 0) - (place.get(other) ?? 0));
    if (before && after) setUrl({ compare: `${before}..${after}` }, { push: true });
  };
  const toggle = (id: string) => setChosen((now) => (now.includes(id) ? now.filter((each) => each !== id) : [...now.slice(-1), id]));
  const asOf = (id: string) => `SELECT *\nFROM ${sqlTable(schema, name)} FOR VERSION AS OF ${id}\nLIMIT 1000`;
  const columns: TableColumn<SnapshotRow>[] = [
    ...(found?.sees_all ? [{ key: "pick", header: "", width: "3.5rem", cell: (row: SnapshotRow) => <Checkbox checked={chosen.includes(row.id)} onChange={() => toggle(row.id)} label={<span className="sr-only">Compare {row.id}</span>} /> }] : []),
    { key: "when", header: "When", width: "16rem", sort: (row) => row.timestamp_ms, cell: (row) => <span title={`${dateTime(row.timestamp_ms)} · ${row.id}`} className="tabular-nums">{dateTime(row.timestamp_ms)} <span className="text-text-3">{ago(row.timestamp_ms)}</span></span> },
    {
      key: "what",
      header: "What",
      cell: (row) => (
        <span className="flex items-center gap-1.5">
          <span>{row.operation ?? "–"}</span>
          {row.refs.map((ref) => <Badge key={ref} tone={ref === "main" ? "accent" : "info"}>{isTag(found, ref) ? <Tag aria-hidden size={10} /> : <GitBranch aria-hidden size={10} />}<bdi>{ref}</bdi></Badge>)}
          {!row.ancestor && row.refs.length === 0 && <Badge title="The present state did not come from it">left behind</Badge>}
        </span>
      ),
    },
    ...(found?.sees_all
      ? ([
          { key: "added", header: "Rows added", width: "8rem", align: "right", cell: (row) => <Change value={row.added_rows} sign="+" /> },
          { key: "removed", header: "Rows removed", width: "8rem", align: "right", cell: (row) => <Change value={row.deleted_rows} sign="−" /> },
          { key: "rows", header: "Rows after", width: "8rem", align: "right", cell: (row) => count(row.rows) },
        ] satisfies TableColumn<SnapshotRow>[])
      : []),
    { key: "id", header: "Snapshot", width: "12.5rem", cell: (row) => <span className="mono text-text-2">{row.id}</span> },
    {
      key: "do",
      header: "",
      width: "3rem",
      cell: (row) => (
        <Menu align="end" trigger={<IconButton size="sm" icon={EllipsisVertical} label={`Do something with ${row.id}`} />}
          items={[
            { label: "Rows as they were", icon: Table2, onSelect: () => setUrl({ tab: "sample", snapshot: row.id }, { push: true }) },
            { label: "Query as it was", icon: Play, onSelect: () => openQuery({ sql: asOf(row.id), title: `${name} then`, run: true }) },
            ...(found?.sees_all && row.parent_id && place.has(row.parent_id) ? [{ label: "What it changed", icon: ArrowLeftRight, onSelect: () => setUrl({ compare: `${row.parent_id}..${row.id}` }, { push: true }) }] : []),
            ...(overview.privileges.includes("ALTER") && !row.current
              ? (["separator", { label: "Go back to it…", icon: RotateCcw, onSelect: () => openQuery({ sql: `-- Makes this snapshot the table's present state again. Nothing is deleted.\nALTER TABLE ${sqlTable(schema, name)} EXECUTE rollback_to_snapshot(${row.id})`, title: `Go back: ${name}` }) }] as const)
              : []),
          ]} />
      ),
    },
  ];
  const [before, after] = (url.compare ?? "").split("..");
  return (
    <div className="flex min-h-0 flex-1 flex-col">
      <div className="flex h-10 shrink-0 items-center gap-3 px-3">
        <span className="text-text-3 min-w-0 flex-1 truncate text-sm">
          {found && (found.sees_all ? "Choose two to see what changed between them" : "Counts are for who sees the whole table")}
        </span>
        {found?.sees_all && <Button size="sm" icon={ArrowLeftRight} disabled={chosen.length !== 2} onClick={() => compare(chosen)}>Compare</Button>}
      </div>
      {before && after && <Compared schema={schema} name={name} before={before} after={after} onClose={() => setUrl({ compare: undefined })} />}
      <div className="min-h-0 flex-1 overflow-auto border-t">
        <Table label={`History of ${name}`} columns={columns} rows={found?.snapshots} rowKey={(row) => row.id} loading={history.isPending} maxHeight="100%"
          empty={<EmptyState icon={Clock} title="No history yet">Every write makes a snapshot, and each can be read again.</EmptyState>} />
      </div>
    </div>
  );
}

const isTag = (history: History | undefined, name: string): boolean => history?.refs.find((ref) => ref.name === name)?.kind === "tag";

function Change({ value, sign }: { value: number | null | undefined; sign: string }): ReactNode {
  if (!value) return <span className="text-text-3">–</span>;
  return <>{sign}{count(value)}</>;
}

interface ComparedProps {
  schema: string;
  name: string;
  before: string;
  after: string;
  onClose: () => void;
}

function Compared({ schema, name, before, after, onClose }: ComparedProps): ReactNode {
  const table = tablePath(schema, name);
  const diff = useQuery({
    queryKey: ["data", "diff", schema, name, before, after],
    queryFn: async ({ signal }) => {
      // Ids are larger than numbers of JavaScript: they go as text.
      const query = new URLSearchParams({ before, after });
      const answer = await api.raw(`/api/v1/tables/${encodeURIComponent(table)}/diff?${query.toString()}`, { signal });
      return (await answer.json()) as Diff;
    },
    staleTime: Infinity,
    retry: false,
  });
  const found = diff.data;
  const rows = (id: string) => `SELECT * FROM ${sqlTable(schema, name)} FOR VERSION AS OF ${id}`;
  return (
    <section aria-label="What changed" className="bg-surface-2 mx-3 mb-3 flex max-h-[45%] shrink-0 flex-col gap-3 overflow-auto rounded-md border p-3">
      <header className="flex items-center gap-2">
        <h3 className="font-semibold">From <span className="mono">{before}</span> to <span className="mono">{after}</span></h3>
        <span className="flex-1" />
        <Button size="sm" icon={Play} onClick={() => openQuery({ sql: `-- Rows that are new or changed\n${rows(after)}\nEXCEPT\n${rows(before)}\nLIMIT 1000`, title: "New rows", run: true })}>New rows</Button>
        <Button size="sm" icon={Play} onClick={() => openQuery({ sql: `-- Rows that are gone or were changed\n${rows(before)}\nEXCEPT\n${rows(after)}\nLIMIT 1000`, title: "Gone rows", run: true })}>Gone rows</Button>
        <Button size="sm" variant="ghost" onClick={onClose}>Close</Button>
      </header>
      {diff.error && <ErrorBox error={diff.error} onRetry={() => void diff.refetch()} />}
      {found && (
        <>
          <KeyValue items={[
            ["Rows", <span key="r" className="tabular-nums"><span className="text-ok">+{count(found.added_rows)}</span> <span className="text-bad">−{count(found.removed_rows + found.deletes_added)}</span></span>],
            ["Files", <span key="f" className="tabular-nums"><span className="text-ok">+{count(found.added_files)}</span> ({bytes(found.added_bytes)}) <span className="text-bad">−{count(found.removed_files)}</span> ({bytes(found.removed_bytes)})</span>],
            ...(found.columns_added.length ? [["Columns added", found.columns_added.join(", ")] as const] : []),
            ...(found.columns_removed.length ? [["Columns removed", found.columns_removed.join(", ")] as const] : []),
          ]} />
          <Files title="Added" files={found.added} total={found.added_files} />
          <Files title="Removed" files={found.removed} total={found.removed_files} />
        </>
      )}
    </section>
  );
}

function Files({ title, files, total }: { title: string; files: readonly FileRow[]; total: number }): ReactNode {
  if (total === 0) return null;
  return (
    <details>
      <summary className="text-text-2 cursor-pointer">{title} files ({count(total)})</summary>
      <ul className="mono mt-1 flex flex-col gap-0.5">
        {files.map((file) => <li key={`${file.path}${file.records}`} className="truncate" title={file.path}>{file.path.split("/").slice(-2).join("/")} <span className="text-text-3">{count(file.records)} rows, {bytes(file.bytes)}</span></li>)}
        {total > files.length && <li className="text-text-3">and {count(total - files.length)} more</li>}
      </ul>
    </details>
  );
}
