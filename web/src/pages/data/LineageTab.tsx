import { useQuery } from "@tanstack/react-query";
import { Eye, Table2, Waypoints } from "lucide-react";
import { type ReactNode, useMemo } from "react";

import { api } from "@/api/client";
import { go } from "@/shell/navigation";
import { cx, EmptyState, ErrorBox, Section, Skeleton, Table, type TableColumn } from "@/ui";
import { ago, count, dateTime, plural } from "@/ui/format";

import { pageOf, tablePath } from "./names";
import type { Lineage, Overview } from "./types";

type Use = Lineage["uses"][number];

const BOX = { width: 190, height: 40, gapX: 90, gapY: 14 };

const USES: TableColumn<Use>[] = [
  { key: "who", header: "Who", sort: (row) => row.principal, cell: (row) => <bdi className="font-medium">{row.principal}</bdi> },
  { key: "what", header: "What", width: "8rem", sort: (row) => row.action, cell: (row) => (row.action === "write" ? "wrote" : "read") },
  { key: "times", header: "Statements", width: "8rem", align: "right", sort: (row) => row.statements, cell: (row) => count(row.statements) },
  { key: "last", header: "Last", width: "10rem", align: "right", sort: (row) => row.last_ms, cell: (row) => <span title={dateTime(row.last_ms)}>{ago(row.last_ms)}</span> },
];

/** Which tables this one was made from, which were made from it, and who uses it. */
export function LineageTab({ overview }: { overview: Overview }): ReactNode {
  const { schema, name } = overview;
  const table = tablePath(schema, name);
  const lineage = useQuery({
    queryKey: ["data", "lineage", schema, name],
    queryFn: ({ signal }) => api.get("/api/v1/tables/{table}/lineage", { path: { table }, query: { depth: 2 }, signal }),
    retry: false,
  });
  if (lineage.error) return <div className="p-3"><ErrorBox error={lineage.error} onRetry={() => void lineage.refetch()} /></div>;
  const found = lineage.data;
  if (!found) return <div className="p-3"><Skeleton lines={6} /></div>;
  return (
    <div className="flex min-h-0 flex-1 flex-col gap-5 overflow-auto p-4">
      <Section title="Where it comes from, where it goes" about="From statements that wrote one table and read others; only tables that you see.">
        {found.edges.length ? (
          <Graph lineage={found} focus={`${schema}.${name}`} />
        ) : (
          <div className="bg-surface rounded-md border">
            <EmptyState icon={Waypoints} title="Nothing yet">Once a statement fills a table from this one, or this one from another, they are linked here: CREATE TABLE … AS SELECT, INSERT, MERGE.</EmptyState>
          </div>
        )}
      </Section>
      <Section title={found.everyone ? "Who uses it" : "Your own use"}>
        <div className="bg-surface rounded-md border">
          <Table label="Uses" columns={USES} rows={found.uses} rowKey={(row) => `${row.principal}/${row.action}`} empty={<p className="text-text-2 p-3">Nobody yet.</p>} />
        </div>
      </Section>
    </div>
  );
}

interface Placed {
  key: string;
  schema: string;
  name: string;
  kind: string;
  x: number;
  y: number;
}

function Graph({ lineage, focus }: { lineage: Lineage; focus: string }): ReactNode {
  const { nodes, width, height } = useMemo(() => arrange(lineage, focus), [lineage, focus]);
  const at = new Map(nodes.map((node) => [node.key, node]));
  return (
    <div className="bg-surface overflow-auto rounded-md border p-4">
      <div className="relative" style={{ width, height }}>
        <svg aria-hidden width={width} height={height} className="absolute inset-0">
          {lineage.edges.map((edge) => {
            const [from, to] = [at.get(edge.source), at.get(edge.target)];
            if (!from || !to) return null;
            const [x1, y1, x2, y2] = [from.x + BOX.width, from.y + BOX.height / 2, to.x, to.y + BOX.height / 2];
            const bend = Math.max(30, (x2 - x1) / 2);
            return (
              <path key={`${edge.source}>${edge.target}`} d={`M${x1},${y1} C${x1 + bend},${y1} ${x2 - bend},${y2} ${x2 - 2},${y2}`} fill="none" stroke="var(--border-2)" strokeWidth={1.5}>
                <title>{`${plural(edge.statements, "statement")}, last ${ago(edge.last_ms)}`}</title>
              </path>
            );
          })}
        </svg>
        <ul aria-label="Tables">
          {nodes.map((node) => {
            const Icon = node.kind === "view" ? Eye : Table2;
            const own = node.key === focus;
            return (
              <li key={node.key} className="absolute" style={{ left: node.x, top: node.y, width: BOX.width, height: BOX.height }}>
                <button type="button" disabled={own} title={node.key} onClick={() => go(`${pageOf(node.schema, node.name)}?tab=lineage`)}
                  className={cx("flex size-full items-center gap-2 rounded-md border px-2.5 text-left", own ? "border-accent bg-accent-soft" : "bg-surface hover:bg-hover")}>
                  <Icon aria-hidden size={14} className="text-text-3 shrink-0" />
                  <span className="min-w-0 leading-4">
                    <bdi className="block truncate font-medium">{node.name}</bdi>
                    <bdi className="text-text-3 block truncate text-xs">{node.schema}</bdi>
                  </span>
                </button>
              </li>
            );
          })}
        </ul>
      </div>
      <ul className="sr-only">
        {lineage.edges.map((edge) => <li key={`${edge.source}>${edge.target}`}>{edge.target} is made from {edge.source} by {plural(edge.statements, "statement")}</li>)}
      </ul>
    </div>
  );
}

/** Layers by the distance from the table: what it comes from left of it, what comes from it right. */
function arrange(lineage: Lineage, focus: string): { nodes: Placed[]; width: number; height: number } {
  const layer = new Map([[focus, 0]]);
  for (let round = 0; round < 4; round++) {
    for (const edge of lineage.edges) {
      const [source, target] = [layer.get(edge.source), layer.get(edge.target)];
      if (source === undefined && target !== undefined) layer.set(edge.source, target - 1);
      if (target === undefined && source !== undefined) layer.set(edge.target, source + 1);
    }
  }
  const columns = new Map<number, Lineage["nodes"]>();
  for (const node of lineage.nodes) {
    const depth = layer.get(node.table) ?? 0;
    columns.set(depth, [...(columns.get(depth) ?? []), node]);
  }
  const depths = [...columns.keys()].sort((one, other) => one - other);
  const tallest = Math.max(...[...columns.values()].map((each) => each.length));
  const height = tallest * (BOX.height + BOX.gapY) - BOX.gapY;
  const nodes = depths.flatMap((depth, column) => {
    const held = columns.get(depth) ?? [];
    const top = (height - (held.length * (BOX.height + BOX.gapY) - BOX.gapY)) / 2;
    return held.map((node, index) => ({
      key: node.table,
      schema: node.schema,
      name: node.name,
      kind: node.kind,
      x: column * (BOX.width + BOX.gapX),
      y: top + index * (BOX.height + BOX.gapY),
    }));
  });
  return { nodes, width: depths.length * (BOX.width + BOX.gapX) - BOX.gapX, height };
}
