import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { History } from "lucide-react";
import type { ReactNode } from "react";

import { api } from "@/api/client";
import { openQuery } from "@/shell/openQuery";
import { Card, EmptyState, ErrorBox, Skeleton, StateBadge } from "@/ui";
import { ago, dateTime, duration } from "@/ui/format";

interface Item {
  id: string;
  title: string;
  state: string;
  at: number;
  took: number | null;
  open: () => void;
}

/** What one ran last: own statements and runs, the same statement once. */
export function Recent(): ReactNode {
  const statements = useQuery({ queryKey: ["home", "recent", "statements"], queryFn: ({ signal }) => api.get("/api/v1/statements", { query: { limit: 60 }, signal }), refetchOnMount: "always" });
  const rows = items((statements.data ?? []) as Record<string, unknown>[]).slice(0, 8);
  return (
    <Card title="What you did last" actions={<Link to="/runs" className="text-accent text-sm hover:underline">all runs</Link>}>
      {statements.error ? <div className="p-3"><ErrorBox error={statements.error} onRetry={() => void statements.refetch()} /></div> : statements.isPending ? <div className="p-3"><Skeleton lines={5} /></div> : rows.length === 0 ? (
        <EmptyState icon={History} title="Nothing yet">Your latest queries and runs are found again here.</EmptyState>
      ) : (
        <ul className="py-1">
          {rows.map((row) => (
            <li key={row.id}>
              <button type="button" onClick={row.open} title={row.title} className="hover:bg-hover flex w-full items-center gap-3 px-3 py-1 text-left outline-offset-[-2px]">
                <span className="mono min-w-0 flex-1 truncate">{row.title.replaceAll(/\s+/g, " ")}</span>
                <span className="text-text-3 text-sm tabular-nums">{duration(row.took)}</span>
                <StateBadge state={row.state} />
                <span className="text-text-3 w-20 shrink-0 text-right text-sm tabular-nums" title={dateTime(row.at)}>{ago(row.at)}</span>
              </button>
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}

function items(history: readonly Record<string, unknown>[]): Item[] {
  const seen = new Set<string>();
  return history.flatMap((row) => {
    // The exact text while the server has it; else the one without its literals.
    const text = String(row.sql ?? row.text ?? "");
    if (!text || seen.has(text) || String(row.source ?? "").startsWith("studio:") || row.source === "samples") return [];
    seen.add(text);
    const [from, to] = [Number(row.created_ms), row.finished_ms == null ? null : Number(row.finished_ms)];
    return [{
      id: String(row.id),
      title: text,
      state: String(row.state),
      at: from,
      took: to === null ? null : to - from,
      open: () => openQuery({ sql: text, dialect: typeof row.dialect === "string" ? row.dialect : undefined, schema: typeof row.schema_name === "string" ? row.schema_name : undefined }),
    }];
  });
}
