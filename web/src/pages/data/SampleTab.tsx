import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { Play, Table2, X } from "lucide-react";
import type { ReactNode } from "react";

import { api } from "@/api/client";
import { openQuery } from "@/shell/openQuery";
import { useUrl } from "@/shell/url";
import { Badge, Button, EmptyState, ErrorBox, Skeleton } from "@/ui";

import { sqlTable, tablePath } from "./names";
import { SampleGrid } from "./SampleGrid";
import type { Overview } from "./types";

/** Some rows as the viewer sees them, now or as of a snapshot. */
export function SampleTab({ overview }: { overview: Overview }): ReactNode {
  const { schema, name } = overview;
  const [url, setUrl] = useUrl<{ snapshot?: string }>();
  const snapshot = url.snapshot;
  const table = tablePath(schema, name);
  const sample = useQuery({
    queryKey: ["data", "sample", schema, name, snapshot ?? ""],
    queryFn: async ({ signal }) => {
      const query = snapshot ? `?snapshot=${encodeURIComponent(snapshot)}` : "";
      // A snapshot's id is larger than a number of JavaScript: it goes as text.
      const answer = await api.raw(`/api/v1/tables/${encodeURIComponent(table)}/sample${query}`, { signal });
      return (await answer.json()) as import("./types").Sample;
    },
    enabled: overview.readable,
    placeholderData: keepPreviousData,
    staleTime: 60_000,
    retry: false,
  });
  if (!overview.readable) return <NotReadable />;
  const as_of = snapshot ? ` FOR VERSION AS OF ${snapshot}` : "";
  return (
    <div className="flex min-h-0 flex-1 flex-col">
      <div className="flex h-10 shrink-0 items-center gap-2 px-3">
        {snapshot && (
          <Badge tone="info">
            as of snapshot {snapshot}
            <button type="button" aria-label="Back to now" onClick={() => setUrl({ snapshot: undefined })}><X size={11} /></button>
          </Badge>
        )}
        <span className="text-text-3 min-w-0 flex-1 truncate text-sm">
          {sample.data && `The first ${sample.data.rows.length} rows${overview.sees_all ? "" : ", as you may see them"}`}
          {sample.data?.cut && "; long texts are cut"}
        </span>
        <Button size="sm" icon={Play} onClick={() => openQuery({ sql: `SELECT *\nFROM ${sqlTable(schema, name)}${as_of}\nLIMIT 1000`, title: name, run: true })}>
          Open as a query
        </Button>
      </div>
      {sample.error ? (
        <div className="p-3"><ErrorBox error={sample.error} onRetry={() => void sample.refetch()} /></div>
      ) : sample.data ? (
        sample.data.rows.length ? (
          <SampleGrid columns={sample.data.columns} rows={sample.data.rows} label={`Rows of ${name}`} />
        ) : (
          <EmptyState icon={Table2} title="No rows">{overview.filtered ? "None of this table's rows are visible to you." : "Nothing has been written to this table yet."}</EmptyState>
        )
      ) : (
        <div className="p-3"><Skeleton lines={10} className="h-5" /></div>
      )}
    </div>
  );
}

function NotReadable(): ReactNode {
  return <EmptyState icon={Table2} title="You may not read this table">Who manages it can grant you SELECT.</EmptyState>;
}
