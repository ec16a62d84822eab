import { useQuery } from "@tanstack/react-query";
import { Bookmark } from "lucide-react";
import type { ReactNode } from "react";

import { api } from "@/api/client";
import { go } from "@/shell/navigation";
import { pageOfSaved } from "@/shell/openQuery";
import { Badge, Card } from "@/ui";
import { ago, dateTime } from "@/ui/format";

const SHOWN = 6;

/** The queries that one saved, or that were shared with one, newest first; nothing while there are none. */
export function Saved(): ReactNode {
  const saved = useQuery({ queryKey: ["saved-queries"], queryFn: ({ signal }) => api.get("/api/v1/saved-queries", { signal }) });
  const rows = [...(saved.data ?? [])].sort((one, other) => other.updated_ms - one.updated_ms).slice(0, SHOWN);
  if (rows.length === 0) return null;
  return (
    <Card title="Saved queries">
      <ul className="py-1">
        {rows.map((query) => (
          <li key={query.id}>
            <button type="button" className="hover:bg-hover flex w-full items-center gap-2 px-3 py-1 text-left outline-offset-[-2px]" onClick={() => go(pageOfSaved(query.id))} title={query.description || undefined}>
              <Bookmark aria-hidden size={14} className="text-text-3 shrink-0" />
              <bdi className="min-w-0 truncate font-medium">{query.name}</bdi>
              <bdi className="text-text-3 min-w-0 flex-1 truncate text-sm">{query.description}</bdi>
              {!query.mine && <Badge><bdi>{query.owner}</bdi></Badge>}
              {query.mine && query.share && <Badge tone="accent"><bdi>{query.share}</bdi></Badge>}
              <span className="text-text-3 w-20 shrink-0 text-right text-sm tabular-nums" title={dateTime(query.updated_ms)}>{ago(query.updated_ms)}</span>
            </button>
          </li>
        ))}
      </ul>
    </Card>
  );
}
