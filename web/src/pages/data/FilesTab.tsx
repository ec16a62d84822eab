import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { FileStack } from "lucide-react";
import { type ReactNode, useState } from "react";

import { api } from "@/api/client";
import { Button, CopyButton, EmptyState, ErrorBox, Table, type TableColumn } from "@/ui";
import { bytes, count } from "@/ui/format";

import { tablePath } from "./names";
import type { FileRow, Overview } from "./types";

const PAGE = 500;

type Partition = import("@/api/schema").components["schemas"]["PartitionView"];

/** The files of the present state, and how they are spread over partitions. */
export function FilesTab({ overview }: { overview: Overview }): ReactNode {
  const { schema, name } = overview;
  const table = tablePath(schema, name);
  const [page, setPage] = useState(0);
  const files = useQuery({
    queryKey: ["data", "files", schema, name, page],
    queryFn: ({ signal }) => api.get("/api/v1/tables/{table}/files", { path: { table }, query: { offset: page * PAGE, limit: PAGE }, signal }),
    placeholderData: keepPreviousData,
    retry: false,
  });
  const partitioned = overview.partitioning.length > 0;
  const partitions = useQuery({
    queryKey: ["data", "partitions", schema, name],
    queryFn: ({ signal }) => api.get("/api/v1/tables/{table}/partitions", { path: { table }, signal }),
    enabled: partitioned,
    retry: false,
  });
  if (files.error) return <div className="p-3"><ErrorBox error={files.error} onRetry={() => void files.refetch()} /></div>;
  const location = files.data?.location ?? "";
  const total = files.data?.total ?? 0;
  const most = Math.max(1, ...(partitions.data?.partitions ?? []).map((each) => each.bytes));
  const spread: TableColumn<Partition>[] = [
    ...(partitions.data?.fields ?? []).map((field): TableColumn<Partition> => ({ key: `p.${field}`, header: field, sort: (row) => row.values[field], cell: (row) => <bdi>{row.values[field] ?? "null"}</bdi> })),
    { key: "share", header: "", width: "10rem", cell: (row) => <span aria-hidden className="bg-accent block h-1.5 rounded-full" style={{ width: `${(100 * row.bytes) / most}%` }} /> },
    { key: "rows", header: "Rows", width: "8rem", align: "right", sort: (row) => row.records, cell: (row) => count(row.records) },
    { key: "files", header: "Files", width: "6rem", align: "right", sort: (row) => row.files, cell: (row) => count(row.files) },
    { key: "bytes", header: "Size", width: "6rem", align: "right", sort: (row) => row.bytes, cell: (row) => bytes(row.bytes) },
  ];
  const columns: TableColumn<FileRow>[] = [
    { key: "path", header: "File", cell: (row) => <span className="mono" title={row.path}>{row.path.startsWith(location) ? row.path.slice(location.length + 1) : row.path}</span> },
    { key: "content", header: "Holds", width: "9rem", cell: (row) => `${row.content} (${row.format})` },
    ...(partitioned ? [{ key: "partition", header: "Partition", width: "14rem", cell: (row: FileRow) => <bdi>{Object.entries(row.partition).map(([key, value]) => `${key}=${value ?? "null"}`).join(", ")}</bdi> }] : []),
    { key: "rows", header: "Rows", width: "8rem", align: "right", sort: (row) => row.records, cell: (row) => count(row.records) },
    { key: "bytes", header: "Size", width: "6rem", align: "right", sort: (row) => row.bytes, cell: (row) => bytes(row.bytes) },
  ];
  return (
    <div className="flex min-h-0 flex-1 flex-col overflow-auto">
      <div className="flex h-10 shrink-0 items-center gap-2 px-3">
        <span className="mono text-text-3 min-w-0 truncate" title={location}>{location}</span>
        {location && <CopyButton text={location} label="Copy the location" />}
      </div>
      {partitioned && partitions.error && <div className="px-3 pb-3"><ErrorBox error={partitions.error} /></div>}
      {partitions.data && partitions.data.total > 0 && (
        <section aria-label="Partitions" className="border-t">
          <h3 className="text-text-2 px-3 pt-2 font-medium">{count(partitions.data.total)} partitions by {overview.partitioning.join(", ")}</h3>
          <Table label={`Partitions of ${name}`} columns={spread} rows={partitions.data.partitions} rowKey={(row) => JSON.stringify(row.values)} maxHeight="40vh" />
        </section>
      )}
      <section aria-label="Files" className="min-h-0 flex-1 border-t">
        <Table label={`Files of ${name}`} columns={columns} rows={files.data?.files} rowKey={(row) => `${row.path}:${row.records}:${row.content}`} loading={files.isPending}
          empty={<EmptyState icon={FileStack} title="No files">Nothing has been written to this table yet.</EmptyState>} />
        {total > PAGE && (
          <div className="text-text-2 flex items-center gap-2 p-3">
            <Button size="sm" disabled={page === 0} onClick={() => setPage(page - 1)}>Before</Button>
            {count(page * PAGE + 1)} to {count(Math.min(total, (page + 1) * PAGE))} of {count(total)}
            <Button size="sm" disabled={(page + 1) * PAGE >= total} onClick={() => setPage(page + 1)}>Next</Button>
          </div>
        )}
      </section>
    </div>
  );
}
