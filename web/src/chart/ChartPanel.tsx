import { useQuery } from "@tanstack/react-query";
import type { Table } from "apache-arrow";
import { ChartColumn, Download } from "lucide-react";
import type { ReactNode } from "react";
import { lazy, Suspense, useCallback, useMemo, useRef } from "react";

import type { GridSource, View } from "@/grid";
import { isNumber } from "@/grid";
import { cellNumber, cellText } from "@/grid/values";
import { EmptyState, ErrorBox, IconButton, Select, Skeleton } from "@/ui";
import { count } from "@/ui/format";

import { points as pointsOf } from "./points";
import type { Aggregate, ChartSpec, Mark } from "./spec";
import { fits, MARKS, suggest } from "./spec";

const Chart = lazy(() => import("./Chart").then((module) => ({ default: module.Chart })));

const MOST_ROWS = 10_000;
const AT_ONCE = 5_000;
const AGGREGATES: Aggregate[] = ["sum", "avg", "min", "max", "count"];

export interface ChartPanelProps {
  source: GridSource;
  view: View;
  spec: ChartSpec | null;
  onSpec: (spec: ChartSpec) => void;
  name?: string;
}

/** A result as a chart: chosen by its columns, changed by a few selects. */
export function ChartPanel({ source, view, spec: given, onSpec, name = "chart" }: ChartPanelProps) {
  const picture = useRef<(() => string) | null>(null);
  const ready = useCallback((make: () => string) => {
    picture.current = make;
  }, []);
  const rows = useQuery({
    queryKey: ["chart", source.key, source.rows, JSON.stringify(view)],
    queryFn: ({ signal }) => fetchRows(source, view, signal),
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 60_000,
  });
  const suggested = useMemo(
    () => (rows.data ? suggest(source.columns, (column) => distinct(rows.data.tables, column), (column) => largest(rows.data.tables, column)) : null),
    [rows.data, source.columns],
  );
  const spec = given && fits(given, source.columns) ? given : suggested;
  const points = useMemo(
    () => (spec && rows.data ? pointsOf(spec, rows.data.tables, source.columns) : null),
    [spec, rows.data, source.columns],
  );
  if (rows.error) {
    return (
      <div className="p-3">
        <ErrorBox error={rows.error} onRetry={() => void rows.refetch()} />
      </div>
    );
  }
  if (!rows.data) {
    return (
      <div className="p-4">
        <Skeleton className="h-52 w-full" />
      </div>
    );
  }
  if (!spec || !points) {
    return (
      <EmptyState icon={ChartColumn} title="Nothing here makes a chart">
        A chart needs a number, a date or a category. Add such a column to the query.
      </EmptyState>
    );
  }
  const columns = source.columns.map((column, index) => ({ value: String(index), label: <bdi>{column.name}</bdi> }));
  const numeric = columns.filter((_, index) => isNumber(source.columns[index]?.type ?? ""));
  const change = (next: Partial<ChartSpec>) => onSpec({ ...spec, ...next });
  const title = `${spec.mark} of ${points.yName} by ${points.xName}`;
  const save = () => {
    const link = document.createElement("a");
    link.href = picture.current?.() ?? "";
    link.download = `${name}.png`;
    link.click();
  };
  return (
    <div className="flex min-h-0 flex-1 flex-col">
      <div className="flex flex-wrap items-center gap-2 border-b px-3 py-1.5">
        <Labelled name="Chart">
          <Select size="sm" className="w-28" label="Kind of chart" value={spec.mark} options={MARKS} onChange={(mark) => change({ mark: mark as Mark, y: mark === "scatter" && spec.y.length === 0 ? [Number(numeric[0]?.value ?? 0)] : spec.y })} />
        </Labelled>
        <Labelled name="X">
          <Select size="sm" className="w-40" label="Horizontal axis" value={String(spec.x)} options={columns} onChange={(x) => change({ x: Number(x) })} />
        </Labelled>
        {spec.mark !== "histogram" && (
          <Labelled name="Y">
            <Select
              size="sm"
              className="w-40"
              label="Vertical axis"
              value={String(spec.y[0] ?? "")}
              options={[{ value: "", label: "rows (count)" }, ...numeric]}
              onChange={(y) => change({ y: y === "" ? [] : [Number(y), ...spec.y.slice(1).filter((one) => one !== Number(y))] })}
            />
          </Labelled>
        )}
        {(spec.mark === "bar" || spec.mark === "line") && (
          <>
            <Labelled name="as">
              <Select size="sm" className="w-20" label="Aggregate" value={spec.aggregate} options={AGGREGATES.map((one) => ({ value: one, label: one }))} onChange={(aggregate) => change({ aggregate: aggregate as Aggregate })} />
            </Labelled>
            <Labelled name="by">
              <Select
                size="sm"
                className="w-40"
                label="Series"
                value={spec.series === null ? "" : String(spec.series)}
                options={[{ value: "", label: "no series" }, ...columns]}
                onChange={(series) => change({ series: series === "" ? null : Number(series), y: series === "" ? spec.y : spec.y.slice(0, 1) })}
              />
            </Labelled>
          </>
        )}
        <span className="flex-1" />
        {rows.data.total > rows.data.read && (
          <span className="text-text-2 text-sm">
            Drawn from the first {count(rows.data.read)} of {count(rows.data.total)} rows: aggregate in SQL for all
          </span>
        )}
        <IconButton size="sm" icon={Download} label="Download as PNG" onClick={save} />
      </div>
      <div className="min-h-0 flex-1 p-2">
        <Suspense fallback={<Skeleton className="h-52 w-full" />}>
          <Chart spec={spec} points={points} label={title} onReady={ready} />
        </Suspense>
      </div>
    </div>
  );
}

function Labelled({ name, children }: { name: string; children: ReactNode }) {
  return (
    <span className="flex items-center gap-1.5">
      <span className="text-text-2 text-sm">{name}</span>
      {children}
    </span>
  );
}

async function fetchRows(source: GridSource, view: View, signal: AbortSignal) {
  const tables: Table[] = [];
  let read = 0;
  let total = 0;
  for (;;) {
    const got = await source.window(read, Math.min(AT_ONCE, MOST_ROWS - read), view, signal);
    total = got.rows;
    if (got.table.numRows > 0) tables.push(got.table);
    read += got.table.numRows;
    if (got.table.numRows === 0 || read >= MOST_ROWS || read >= total) return { tables, read, total };
  }
}

function distinct(tables: readonly Table[], column: number): number {
  const seen = new Set<string | null>();
  for (const table of tables) {
    const vector = table.getChildAt(column);
    for (let row = 0; vector && row < Math.min(2000, table.numRows); row += 1) seen.add(cellText(vector, row));
  }
  return seen.size;
}

function largest(tables: readonly Table[], column: number): number {
  let most = 0;
  for (const table of tables) {
    const vector = table.getChildAt(column);
    for (let row = 0; vector && row < Math.min(2000, table.numRows); row += 1) {
      most = Math.max(most, Math.abs(cellNumber(vector, row) ?? 0));
    }
  }
  return most;
}
