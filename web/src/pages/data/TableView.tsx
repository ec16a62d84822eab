import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Copy, EllipsisVertical, Eye, EyeOff, Play, RotateCw, Table2, Trash2, Upload } from "lucide-react";
import { type ReactNode, useState } from "react";

import { api } from "@/api/client";
import { go } from "@/shell/navigation";
import { openQuery } from "@/shell/openQuery";
import { useUrl } from "@/shell/url";
import { Badge, Button, Confirm, ErrorBox, IconButton, Menu, type MenuItem, Skeleton, type TabItem, Tabs, toast, toastError, Tooltip } from "@/ui";
import { ago, bytes, count, dateTime, plural } from "@/ui/format";

import { ColumnsTab } from "./ColumnsTab";
import { DdlTab } from "./DdlTab";
import { FilesTab } from "./FilesTab";
import { HistoryTab } from "./HistoryTab";
import { InlineText } from "./InlineText";
import { LineageTab } from "./LineageTab";
import { firstRows, pageOf, sqlTable, tablePath } from "./names";
import { PermissionsTab } from "./PermissionsTab";
import { PropertiesTab } from "./PropertiesTab";
import { SampleTab } from "./SampleTab";
import type { Overview } from "./types";

/** Everything about one table or view; the tab stands in the address. */
export function TableView({ schema, table }: { schema: string; table: string }): ReactNode {
  const path = tablePath(schema, table);
  const [url, setUrl] = useUrl<{ tab?: string; snapshot?: string; compare?: string }>();
  const overview = useQuery({
    queryKey: ["data", "overview", schema, table],
    queryFn: ({ signal }) => api.get("/api/v1/tables/{table}/overview", { path: { table: path }, signal }),
    retry: false,
  });
  if (overview.error) {
    return <div className="p-4"><ErrorBox error={overview.error} onRetry={() => void overview.refetch()} /></div>;
  }
  const found = overview.data;
  if (!found) return <div className="p-4"><Skeleton lines={8} /></div>;
  const tabs = tabsOf(found);
  const tab = tabs.some((each) => each.value === url.tab) ? (url.tab ?? "columns") : "columns";
  return (
    <div className="flex min-h-0 min-w-0 flex-1 flex-col">
      <Head overview={found} onReload={() => void overview.refetch()} />
      <Tabs fill label={`About ${table}`} value={tab} items={tabs} onChange={(value) => setUrl({ tab: value === "columns" ? undefined : value, snapshot: undefined, compare: undefined })}>
        {tab === "columns" && <ColumnsTab overview={found} />}
        {tab === "sample" && <SampleTab overview={found} />}
        {tab === "history" && <HistoryTab overview={found} />}
        {tab === "files" && <FilesTab overview={found} />}
        {tab === "lineage" && <LineageTab overview={found} />}
        {tab === "permissions" && <PermissionsTab overview={found} />}
        {tab === "properties" && <PropertiesTab overview={found} />}
        {tab === "ddl" && <DdlTab overview={found} />}
      </Tabs>
    </div>
  );
}

function tabsOf(overview: Overview): TabItem[] {
  const isTable = overview.kind === "table";
  return [
    { value: "columns", label: "Columns", count: overview.columns.length },
    { value: "sample", label: "Rows" },
    ...(isTable && overview.readable ? [{ value: "history", label: "History", count: overview.snapshots }] : []),
    // What files tell, they tell of all rows: who does not see them all has no such tab.
    ...(isTable && overview.sees_all ? [{ value: "files", label: "Files", count: overview.files }] : []),
    { value: "lineage", label: "Lineage" },
    { value: "permissions", label: "Permissions" },
    { value: "properties", label: "Properties" },
    { value: "ddl", label: "DDL" },
  ];
}

function Head({ overview, onReload }: { overview: Overview; onReload: () => void }): ReactNode {
  const { schema, name, kind } = overview;
  const path = tablePath(schema, name);
  const client = useQueryClient();
  const [dropping, setDropping] = useState(false);
  const comment = useMutation({
    mutationFn: (change: { comment: string | null; was: string | null }) =>
      api.patch("/api/v1/tables/{table}/comment", { path: { table: path }, body: { ...change, check: true } }),
    onSuccess: (saved) => {
      void client.invalidateQueries({ queryKey: ["data", "overview", schema, name] });
      toast("Comment saved", { undo: () => comment.mutateAsync({ comment: saved.was, was: saved.comment }) });
    },
    onError: (problem) => {
      toastError(problem);
      void client.invalidateQueries({ queryKey: ["data", "overview", schema, name] });
    },
  });
  const may = (privilege: Overview["privileges"][number]) => overview.privileges.includes(privilege);
  const menu: MenuItem[] = [
    { label: "Copy the name", icon: Copy, onSelect: () => void navigator.clipboard.writeText(sqlTable(schema, name)).then(() => toast("Name copied"), toastError) },
    { label: "Look again", icon: RotateCw, onSelect: onReload },
    ...(kind === "table" && may("INSERT") ? [{ label: "Add rows from a file", icon: Upload, onSelect: () => go(`/import?schema=${encodeURIComponent(schema)}&table=${encodeURIComponent(name)}&mode=append`) }] : []),
    ...(may("DROP") ? (["separator", { label: `Drop this ${kind}`, icon: Trash2, danger: true, onSelect: () => setDropping(true) }] as MenuItem[]) : []),
  ];
  const Icon = kind === "view" ? Eye : Table2;
  return (
    <header className="bg-surface flex shrink-0 flex-col gap-1 px-4 pt-3 pb-2">
      <div className="flex items-center gap-2">
        <Icon aria-hidden size={16} className="text-text-3 shrink-0" />
        <h2 className="truncate text-lg font-semibold" title={`${schema}.${name}`}><bdi>{name}</bdi></h2>
        {kind === "view" && <Badge>view</Badge>}
        {overview.connection && (
          <Tooltip text={`A table of the catalog that ${overview.connection} connects: it is changed over there`}>
            <span><Badge tone="info">linked, read-only</Badge></span>
          </Tooltip>
        )}
        {overview.readable && kind === "table" && !overview.sees_all && (
          <Tooltip text={overview.filtered ? "A row filter applies to you: rows and figures here are those that you may see" : "Rows and figures here are what you may see of this table"}>
            <span><Badge tone="warn"><EyeOff aria-hidden size={11} /> restricted for you</Badge></span>
          </Tooltip>
        )}
        <span className="flex-1" />
        {overview.readable && (
          <Button variant="primary" size="sm" icon={Play} onClick={() => openQuery({ sql: firstRows(schema, name), title: name, run: true })}>Query</Button>
        )}
        <Menu align="end" trigger={<IconButton size="sm" icon={EllipsisVertical} label="More" />} items={menu} />
      </div>
      <InlineText value={overview.comment ?? null} label={`comment of ${name}`} placeholder="Add a comment" editable={may("ALTER")}
        onSave={(text) => comment.mutateAsync({ comment: text, was: overview.comment ?? null })} />
      <p className="text-text-3 flex flex-wrap gap-x-4 text-sm tabular-nums">
        {overview.rows != null && <span>{plural(overview.rows, "row")}</span>}
        {overview.bytes != null && <span>{bytes(overview.bytes)}</span>}
        {overview.files != null && <span>{plural(overview.files, "file")}</span>}
        {overview.partitioning.length > 0 && <span>by {overview.partitioning.join(", ")}</span>}
        {overview.updated_ms != null && <span title={dateTime(overview.updated_ms)}>changed {ago(overview.updated_ms)}</span>}
        {overview.owner && <span>owner <bdi>{overview.owner}</bdi></span>}
        {overview.format_version != null && kind === "table" && <span>Iceberg v{count(overview.format_version)}</span>}
      </p>
      <Confirm open={dropping} onOpenChange={setDropping} danger title={`Drop ${schema}.${name}?`} action={`Drop the ${kind}`}
        onConfirm={async () => {
          await api.del("/api/v1/tables/{table}", { path: { table: path } });
          await client.invalidateQueries({ queryKey: ["data", "tree", schema] });
          toast(`${name} was dropped`);
          go(pageOf(schema));
        }}>
        {kind === "table" ? "The table and its history disappear for everybody. This cannot be undone here." : "Queries and views that use it will fail."}
      </Confirm>
    </header>
  );
}
