import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { EyeOff, KeyRound } from "lucide-react";
import { type ReactNode, useMemo, useState } from "react";

import { api, ApiError } from "@/api/client";
import { Badge, Button, ErrorBox, SearchInput, Table, type TableColumn, toast, toastError, Tooltip } from "@/ui";
import { bytes, count } from "@/ui/format";

import { Distinct, Distribution, ends, Nulls } from "./Figures";
import { InlineText } from "./InlineText";
import { tablePath } from "./names";
import type { Figures, Overview, OverviewColumn } from "./types";

/** The columns with their types, comments and what their values look like to the viewer. */
export function ColumnsTab({ overview }: { overview: Overview }): ReactNode {
  const { schema, name } = overview;
  const table = tablePath(schema, name);
  const client = useQueryClient();
  const [text, setText] = useState("");
  const [force, setForce] = useState(false);
  const wanted = overview.kind === "table" && overview.readable;
  const profile = useQuery({
    queryKey: ["data", "profile", schema, name, force],
    queryFn: ({ signal }) => api.get("/api/v1/tables/{table}/profile", { path: { table }, query: { force }, signal }),
    enabled: wanted,
    staleTime: 60_000,
    retry: false,
  });
  const figures = useMemo(
    () => new Map((profile.data?.columns ?? []).map((each) => [each.name, each])),
    [profile.data],
  );
  const looked = profile.data?.looked_at ?? 0;
  const comment = useMutation({
    mutationFn: (change: { column: string; comment: string | null; was: string | null }) =>
      api.patch("/api/v1/tables/{table}/columns/{column}/comment", {
        path: { table, column: change.column },
        body: { comment: change.comment, was: change.was, check: true },
      }),
    onSuccess: (saved, change) => {
      void client.invalidateQueries({ queryKey: ["data", "overview", schema, name] });
      toast(`Comment of ${change.column} saved`, {
        undo: () => comment.mutateAsync({ column: change.column, comment: saved.was, was: saved.comment }),
      });
    },
    onError: (problem) => {
      toastError(problem);
      if (problem instanceof ApiError && problem.code === "COMMIT_CONFLICT") {
        void client.invalidateQueries({ queryKey: ["data", "overview", schema, name] });
      }
    },
  });
  const editable = overview.privileges.includes("ALTER") && overview.kind === "table";
  const shown = overview.columns.filter((each) => {
    const folded = text.toLowerCase();
    return !folded || each.name.toLowerCase().includes(folded) || (each.comment ?? "").toLowerCase().includes(folded);
  });
  const figure = (column: OverviewColumn, draw: (found: Figures) => ReactNode): ReactNode => {
    const found = figures.get(column.name);
    if (found) return draw(found);
    return profile.isFetching ? <span className="skeleton inline-block h-3 w-10 align-middle" /> : <span className="text-text-3">–</span>;
  };
  const columns: TableColumn<OverviewColumn>[] = [
    {
      key: "name",
      header: "Column",
      width: "19%",
      sort: (row) => row.name,
      cell: (row) => (
        <span className="flex min-w-0 items-center gap-1.5">
          <bdi className="truncate font-medium" title={row.name}>{row.name}</bdi>
          {row.required && (
            <Tooltip text="Every row has a value">
              <KeyRound aria-label="required" size={12} className="text-text-3 shrink-0" />
            </Tooltip>
          )}
          {row.mask && (
            <Badge tone="warn" title={`The mask ${row.mask} stands in for the values that you see`}>
              <EyeOff aria-hidden size={11} /> masked
            </Badge>
          )}
        </span>
      ),
    },
    { key: "type", header: "Type", width: "14%", sort: (row) => row.type, cell: (row) => <span className="mono text-text-2" title={row.type}>{row.type}</span> },
    ...(wanted
      ? ([
          { key: "spread", header: "Distribution", width: "7.5rem", cell: (row) => figure(row, (found) => <Distribution figures={found} looked={looked} />) },
          { key: "range", header: "Range", width: "17%", cell: (row) => figure(row, (found) => <span className="text-text-2 tabular-nums" title={ends(found)}>{ends(found) || "–"}</span>) },
          { key: "nulls", header: "Empty", width: "5rem", align: "right", sort: (row) => figures.get(row.name)?.nulls, cell: (row) => figure(row, (found) => <Nulls figures={found} looked={looked} />) },
          { key: "distinct", header: "Distinct", width: "5.5rem", align: "right", sort: (row) => figures.get(row.name)?.distinct, cell: (row) => figure(row, (found) => <Distinct figures={found} />) },
        ] satisfies TableColumn<OverviewColumn>[])
      : []),
    {
      key: "comment",
      header: "Comment",
      cell: (row) => (
        <InlineText
          value={row.comment ?? null}
          label={`comment of ${row.name}`}
          placeholder="Add a comment"
          editable={editable}
          onSave={(saved) => comment.mutateAsync({ column: row.name, comment: saved, was: row.comment ?? null })}
        />
      ),
    },
  ];
  return (
    <div className="flex min-h-0 flex-1 flex-col">
      <div className="flex h-10 shrink-0 items-center gap-3 px-3">
        <SearchInput value={text} onChange={setText} placeholder="Filter columns" className="w-56" />
        <span className="text-text-3 min-w-0 flex-1 truncate text-sm">
          {profile.data && !profile.data.too_large && <Looked rows={profile.data.rows} looked={looked} restricted={!overview.sees_all} />}
          {profile.isFetching && "Looking at the values…"}
        </span>
      </div>
      {profile.error && (
        <div className="px-3 pb-2">
          <ErrorBox error={profile.error} title="The figures could not be made" onRetry={() => void profile.refetch()} />
        </div>
      )}
      {profile.data?.too_large && (
        <p className="text-text-2 flex items-center gap-3 px-3 pb-2">
          The table has {bytes(profile.data.too_large)}: its columns are looked at when you ask for it.
          <Button size="sm" onClick={() => setForce(true)}>Look at the values</Button>
        </p>
      )}
      <div className="min-h-0 flex-1 overflow-auto border-t">
        <Table label={`Columns of ${name}`} columns={columns} rows={shown} rowKey={(row) => row.name} maxHeight="100%"
          empty={<p className="text-text-2 p-4">{text ? `No column is called “${text}”.` : "No column is visible to you."}</p>} />
      </div>
    </div>
  );
}

function Looked({ rows, looked, restricted }: { rows: number; looked: number; restricted: boolean }): ReactNode {
  const seen = restricted ? "rows and values that you may see" : "rows";
  if (rows === 0) return <>No {seen} yet</>;
  if (looked >= rows) return <>Figures from {restricted ? `the ${seen} (${count(rows)})` : `all ${count(rows)} rows`}</>;
  return <>Figures from a random sample of {count(looked)} of {count(rows)} {seen}</>;
}
