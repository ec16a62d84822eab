import { CircleCheck, Download, History, SquareTerminal, TriangleAlert } from "lucide-react";
import { useEffect, useMemo, useState } from "react";

import { ChartPanel } from "@/chart";
import { address } from "@/api/client";
import { PLAIN, ResultGrid, statementSource, type View, viewQuery } from "@/grid";
import { Button, EmptyState, ErrorBox, Kbd, Menu, Skeleton, StateBadge, Tabs } from "@/ui";
import { bytes, count, duration, plural } from "@/ui/format";

import type { Submission } from "./calls";
import type { Marked } from "./Editor";
import { EngineFact, Starting } from "./engines";
import { PlanPanel } from "./PlanPanel";
import type { Run } from "./run";
import { isRunning } from "./run";
import type { QueryTab } from "./tabs";

export type Panel = "result" | "chart" | "plan";

export interface ResultsProps {
  tab: QueryTab;
  run: Run | null;
  panel: Panel;
  onPanel: (panel: Panel) => void;
  onChart: (chart: QueryTab["chart"]) => void;
  onReveal: (marked: Marked) => void;
  onRun: () => void;
  onCancel: () => void;
  /** What would run now, for the plan. */
  submission: () => Submission;
}

const views = new Map<string, View>();

/** What a statement answered: rows, chart, plan; or how it is going, or why it failed. */
export function Results(props: ResultsProps) {
  const { tab, run, panel, onPanel } = props;
  const id = run?.view?.id ?? "";
  const [view, setView] = useState<View>(views.get(id) ?? PLAIN);
  useEffect(() => setView(views.get(id) ?? PLAIN), [id]);
  const keep = (next: View) => {
    views.set(id, next);
    setView(next);
  };
  const columns = run?.view?.columns ?? null;
  const rows = run?.view?.stats.result_rows ?? null;
  const finished = run?.view?.state === "FINISHED";
  const source = useMemo(
    () => (columns && columns.length > 0 ? { ...statementSource(id, columns, rows), arrangeable: finished } : null),
    // The columns are those of the statement: its id stands for them.
    [id, columns === null, rows, finished],
  );
  const showsRows = source !== null && !run?.view?.update_type && (finished || (rows ?? 0) > 0);
  const chartable = showsRows && finished && (rows ?? 0) > 0;
  return (
    <Tabs
      fill
      label="Result"
      value={panel}
      onChange={(value) => onPanel(value as Panel)}
      items={[
        { value: "result", label: "Result", count: showsRows ? rows : null },
        { value: "chart", label: "Chart" },
        { value: "plan", label: "Plan" },
      ]}
      actions={<Facts run={run} view={view} name={tab.title} showsRows={showsRows && finished} />}
    >
      {panel === "plan" ? (
        <PlanPanel key={tab.id} submission={props.submission} />
      ) : panel === "chart" ? (
        chartable && source ? (
          <ChartPanel source={source} view={view} spec={tab.chart} onSpec={props.onChart} name={tab.title} />
        ) : (
          <State {...props} chart />
        )
      ) : showsRows && source && !run?.error ? (
        <ResultGrid source={source} view={view} onView={keep} label={`Result of ${tab.title}`} />
      ) : (
        <State {...props} />
      )}
    </Tabs>
  );
}

/** Rows, time, cost; and the downloads. */
function Facts({ run, view, name, showsRows }: { run: Run | null; view: View; name: string; showsRows: boolean }) {
  const stats = run?.view?.stats;
  const id = run?.view?.id ?? "";
  const file = name.replaceAll(/[^\p{L}\p{N}._-]+/gu, "-").slice(0, 60) || "result";
  const get = (format: string) => {
    const link = document.createElement("a");
    link.href = address("/api/v1/statements/{id}/download", { id }, { format, name: file, ...viewQuery(view) });
    link.download = "";
    link.click();
  };
  if (!run?.view || !stats) return null;
  const final = !isRunning(run);
  return (
    <div className="text-text-2 flex shrink-0 items-center gap-3 text-sm tabular-nums">
      {final && (
        <>
          <EngineFact view={run.view} />
          <span title="Elapsed time">{duration((stats.elapsed_seconds ?? 0) * 1000)}</span>
          <span title={`${count(stats.scanned_rows)} rows read`}>{bytes(stats.scanned_bytes)} scanned</span>
          <span title="Processor time of the engine">{duration((stats.cpu_seconds ?? 0) * 1000)} CPU</span>
        </>
      )}
      {showsRows && (
        <Menu
          align="end"
          trigger={
            <Button size="sm" icon={Download}>
              Download
            </Button>
          }
          items={[
            { label: "CSV", onSelect: () => get("csv") },
            { label: "Parquet", onSelect: () => get("parquet") },
            { label: "Arrow", onSelect: () => get("arrow") },
          ]}
        />
      )}
    </div>
  );
}

/** In place of rows: nothing has run yet, it runs, it changed something, it failed. */
function State({ tab, run, onReveal, onRun, onCancel, chart }: ResultsProps & { chart?: boolean }) {
  if (!run) {
    return (
      <EmptyState icon={SquareTerminal} title={chart ? "Run the query, then see it as a chart" : "Results appear here"}>
        <Kbd keys="mod+Enter" /> runs the statement at the cursor, or what is selected.
      </EmptyState>
    );
  }
  if (isRunning(run)) return <Running run={run} onCancel={onCancel} />;
  if (run.phase === "gone") {
    return (
      <EmptyState
        icon={History}
        title="This result is no longer kept"
        actions={
          <Button variant="primary" onClick={onRun}>
            Run again
          </Button>
        }
      >
        The server keeps results for a while after they were last read. The query is as you left it.
      </EmptyState>
    );
  }
  if (run.view?.state === "CANCELED") {
    return (
      <EmptyState icon={TriangleAlert} title="Cancelled">
        Nothing of it was kept.
      </EmptyState>
    );
  }
  if (run.error) {
    const place = positionOf(run.error);
    const text = String((run.error as { message?: unknown }).message ?? "");
    const marked = place && { ...place, message: text, offset: run.offset };
    return (
      <div className="overflow-auto p-3">
        <ErrorBox
          error={run.error}
          actions={
            marked && (
              <Button size="sm" onClick={() => onReveal(marked)}>
                Go to line {lineIn(tab.sql, run.offset, marked.line)}
              </Button>
            )
          }
        />
      </div>
    );
  }
  const { update_type: what, update_count: changed, stats } = run.view ?? {};
  return (
    <EmptyState icon={CircleCheck} title={what ? `${what.toLowerCase().replace(/^./, (c) => c.toUpperCase())} done` : "Done"}>
      {changed != null && what ? plural(changed, "row") : chart ? "There is nothing to draw." : "It answered no rows."}
      {stats?.elapsed_seconds != null && ` Took ${duration(stats.elapsed_seconds * 1000)}.`}
    </EmptyState>
  );
}

function Running({ run, onCancel }: { run: Run; onCancel: () => void }) {
  const [, tick] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => tick((n) => n + 1), 250);
    return () => clearInterval(timer);
  }, []);
  const stats = run.view?.stats;
  const progress = stats?.progress ?? null;
  return (
    <div className="flex min-h-0 flex-1 flex-col">
      <div className="bg-surface-2 h-0.5 shrink-0" role="progressbar" aria-label="Progress" aria-valuenow={progress === null ? undefined : Math.round(progress * 100)}>
        <div className={progress === null ? "bg-accent h-full w-1/3 animate-pulse" : "bg-accent h-full transition-[width]"} style={progress === null ? undefined : { width: `${progress * 100}%` }} />
      </div>
      <div className="flex items-center gap-3 px-4 py-3">
        <StateBadge state={run.view?.state ?? "STARTING"} />
        <span className="tabular-nums">{duration(Math.floor((Date.now() - run.startedAt) / 100) * 100)}</span>
        <Starting view={run.view} />
        <span className="text-text-2 text-sm tabular-nums">
          {stats?.scanned_rows ? `${count(stats.scanned_rows)} rows read, ${bytes(stats.scanned_bytes)}` : ""}
        </span>
        <span className="flex-1" />
        <Button size="sm" onClick={onCancel}>
          Cancel
        </Button>
      </div>
      <div className="px-4">
        <Skeleton lines={5} className="h-5" />
      </div>
    </div>
  );
}

/** Where in the statement an error is, when it says so. */
export function positionOf(error: unknown): { line: number; column: number } | null {
  const place = (error as { position?: { line: number; column: number } | null } | null)?.position;
  return place ?? null;
}

function lineIn(text: string, offset: number, line: number): number {
  return text.slice(0, offset).split("\n").length + line - 1;
}
