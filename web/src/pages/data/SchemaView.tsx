import { keepPreviousData, useQuery, useQueryClient } from "@tanstack/react-query";
import { Database, EllipsisVertical, Eye, Table2, Trash2, Upload } from "lucide-react";
import { type ReactNode, useEffect, useState } from "react";

import { api } from "@/api/client";
import { go } from "@/shell/navigation";
import { Button, Confirm, EmptyState, ErrorBox, IconButton, Menu, SearchInput, Table, type TableColumn, toast } from "@/ui";
import { count } from "@/ui/format";

import { pageOf } from "./names";

const PAGE = 100;

interface Row {
  name: string;
  kind: string;
  comment?: string;
}

/** The tables and views of a schema, a page at a time. */
export function SchemaView({ schema }: { schema: string }): ReactNode {
  const client = useQueryClient();
  const [text, setText] = useState("");
  const [wanted, setWanted] = useState("");
  const [page, setPage] = useState(0);
  const [dropping, setDropping] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => {
      setWanted(text.trim());
      setPage(0);
    }, 150);
    return () => clearTimeout(timer);
  }, [text]);
  const schemas = useQuery({ queryKey: ["data", "schemas"], queryFn: ({ signal }) => api.get("/api/v1/schemas", { signal }) });
  const listing = useQuery({
    queryKey: ["data", "tree", schema, "listing", wanted, page],
    queryFn: ({ signal }) => api.get("/api/v1/tree", { query: { schema, q: wanted, offset: page * PAGE, limit: PAGE, comments: true }, signal }),
    placeholderData: keepPreviousData,
    retry: false,
  });
  const welcome = useQuery({ queryKey: ["home", "onboarding"], queryFn: ({ signal }) => api.get("/api/v1/onboarding", { signal }) });
  const found = listing.data;
  const mine = welcome.data?.schemas.includes(schema) ?? false;
  const comment = schemas.data?.find((each) => each.name === schema)?.comment;
  if (listing.error) return <div className="p-4"><ErrorBox error={listing.error} onRetry={() => void listing.refetch()} /></div>;
  const rows = (found?.items ?? []).map((each): Row => ({ name: each.name, kind: each.kind, comment: found?.comments?.[each.name] }));
  const columns: TableColumn<Row>[] = [
    { key: "name", header: "Name", width: "34%", sort: (row) => row.name, cell: (row) => <span className="flex items-center gap-2">{row.kind === "view" ? <Eye aria-label="view" size={14} className="text-text-3 shrink-0" /> : <Table2 aria-label="table" size={14} className="text-text-3 shrink-0" />}<bdi className="truncate font-medium">{row.name}</bdi></span> },
    { key: "comment", header: "Comment", cell: (row) => <bdi className="text-text-2" title={row.comment}>{row.comment ?? ""}</bdi> },
  ];
  const load = <Button size="sm" icon={Upload} onClick={() => go(`/import?schema=${encodeURIComponent(schema)}`)}>Load a file</Button>;
  return (
    <div className="flex min-h-0 min-w-0 flex-1 flex-col">
      <header className="bg-surface flex shrink-0 flex-col gap-1 border-b px-4 py-3">
        <div className="flex items-center gap-2">
          <Database aria-hidden size={16} className="text-text-3" />
          <h2 className="truncate text-lg font-semibold"><bdi>{schema}</bdi></h2>
          <span className="flex-1" />
          {mine && <Menu align="end" trigger={<IconButton size="sm" icon={EllipsisVertical} label="More" />} items={[{ label: "Drop this schema", icon: Trash2, danger: true, onSelect: () => setDropping(true) }]} />}
        </div>
        {comment && <p className="text-text-2"><bdi>{comment}</bdi></p>}
      </header>
      <div className="flex h-10 shrink-0 items-center gap-3 px-3">
        <SearchInput value={text} onChange={setText} placeholder={`Filter ${schema}`} className="w-56" />
        <span className="text-text-3 flex-1 text-sm">{found && `${count(found.total)} ${wanted ? "found" : "tables and views"}`}</span>
        {found && found.total > PAGE && (
          <span className="text-text-2 flex items-center gap-2 text-sm tabular-nums">
            {count(page * PAGE + 1)} to {count(Math.min(found.total, (page + 1) * PAGE))}
            <Button size="sm" disabled={page === 0} onClick={() => setPage(page - 1)}>Before</Button>
            <Button size="sm" disabled={(page + 1) * PAGE >= found.total} onClick={() => setPage(page + 1)}>Next</Button>
          </span>
        )}
      </div>
      <div className="min-h-0 flex-1 overflow-auto border-t">
        <Table label={`Tables of ${schema}`} columns={columns} rows={rows} rowKey={(row) => row.name} loading={listing.isPending} onRow={(row) => go(pageOf(schema, row.name))}
          empty={<EmptyState icon={Table2} title={wanted ? "Nothing found" : "Nothing in it yet"} actions={!wanted && mine ? load : undefined}>{wanted ? `No table's name contains “${wanted}”.` : mine ? "Load a file, or CREATE TABLE in a query." : "You see no table in this schema."}</EmptyState>} />
      </div>
      <Confirm open={dropping} onOpenChange={setDropping} danger title={`Drop the schema ${schema}?`} action="Drop the schema"
        onConfirm={async () => {
          await api.del("/api/v1/schemas/{schema}", { path: { schema } });
          await client.invalidateQueries({ queryKey: ["data"] });
          toast(`${schema} was dropped`);
          go("/data");
        }}>
        Only an empty schema can be dropped.
      </Confirm>
    </div>
  );
}
