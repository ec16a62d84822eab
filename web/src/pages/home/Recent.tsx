import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { History } from "lucide-react";
import type { ReactNode } from "react";

import type { Got } from "@/api/client";
import { api } from "@/api/client";
import { go } from "@/shell/navigation";
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

const SHOWN = 8;
const KINDS = ["sql", "python", "pyspark", "jar"];

/** What the server itself ran in the administrator's name. */
const SERVERS = new Set(["samples", "start"]);

/** What one ran last: own statements and runs, the same statement once. */
export function Recent(): ReactNode {
  const statements = useQuery({ queryKey: ["home", "recent", "statements"], queryFn: ({ signal }) => api.get("/api/v1/statements", { query: { limit: 60 }, signal }), refetchOnMount: "always" });
  const runs = useQuery({ queryKey: ["home", "recent", "runs"], queryFn: ({ signal }) => api.get("/api/v1/runs", { query: { kind: KINDS, limit: SHOWN }, signal }), refetchOnMount: "always" });
  const rows = [...ofStatements(statements.data ?? []), ...ofRuns(runs.data?.rows ?? [])].sort((one, other) => other.at - one.at).slice(0, SHOWN);
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

function ofRuns(runs: Got<"/api/v1/runs">["rows"]): Item[] {
  return runs.map((run) => ({
    id: run.id,
    title: run.title,
    state: run.state,
    at: run.created_ms,
    took: run.finished_ms === null ? null : run.finished_ms - run.created_ms,
    open: () => go(`/runs/${encodeURIComponent(run.id)}`),
  }));
}

function ofStatements(history: Got<"/api/v1/statements">): Item[] {
  const seen = new Set<string>();
  return history.flatMap((row) => {
    // The exact text while the server has it; else the one without its literals.
    const text = row.sql ?? row.text;
    if (!text || seen.has(text) || row.source.startsWith("studio:") || SERVERS.has(row.source)) return [];
    seen.add(text);
    const [from, to] = [row.created_ms, row.finished_ms];
    return [{
      id: row.id,
      title: text,
      state: row.state,
      at: from,
      took: to === null ? null : to - from,
      open: () => openQuery({ sql: text, dialect: row.dialect, schema: row.schema_name ?? undefined }),
    }];
  });
}
