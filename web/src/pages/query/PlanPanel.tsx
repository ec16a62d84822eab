import { useQuery } from "@tanstack/react-query";
import { RotateCw, Workflow } from "lucide-react";
import { useState } from "react";

import { Badge, Button, Card, CodeBlock, cx, EmptyState, ErrorBox, Skeleton } from "@/ui";

import type { PlanNode, PlanView, Submission } from "./calls";
import { calls } from "./calls";
import { engineName } from "./engines";

/** Errors of the system engine's planner that say nothing of other engines. */
const LACKING = new Set(["NOT_SUPPORTED", "FUNCTION_NOT_FOUND", "SYNTAX_ERROR"]);

/** How a statement would run, and what of each table it may see. */
export function PlanPanel({ submission }: { submission: () => Submission }) {
  const [asked, setAsked] = useState(submission);
  const plan = useQuery({
    queryKey: ["plan", asked],
    queryFn: ({ signal }) => calls.plan(asked, signal),
    enabled: asked.sql !== "",
    staleTime: 0,
  });
  if (!asked.sql) {
    return (
      <EmptyState icon={Workflow} title="Write a query first" actions={<Button onClick={() => setAsked(submission())}>Show its plan</Button>}>
        The plan tells how a statement would run, and which rows and columns of each table you see.
      </EmptyState>
    );
  }
  const other = asked.engine === "sail" || asked.engine === "spark" ? engineName(asked.engine) : null;
  const lacks = asked.dialect === "spark" && asked.engine !== "duckdb" && LACKING.has(String((plan.error as { code?: unknown } | null)?.code));
  return (
    <div className="flex min-h-0 flex-1 flex-col gap-3 overflow-auto p-3">
      <div className="flex items-center gap-2">
        <span className="text-text-2 min-w-0 flex-1 truncate text-sm">
          {other ? `${other} plans it when it runs: EXPLAIN in front of it shows that plan.` : plan.data?.engine ? `Runs on ${plan.data.engine}. Nothing is run for this plan.` : "Nothing is run for this plan."}
        </span>
        <Button size="sm" icon={RotateCw} busy={plan.isFetching} onClick={() => { setAsked(submission()); void plan.refetch(); }}>
          Plan what is written now
        </Button>
      </div>
      {lacks ? (
        <EmptyState icon={Workflow} title="The system engine has no plan for this">
          {other ?? "Sail, or Spark where Sail cannot,"} runs it on the rows and columns that you may see. EXPLAIN in front of it shows that engine’s plan.
        </EmptyState>
      ) : plan.error ? <ErrorBox error={plan.error} onRetry={() => void plan.refetch()} /> : plan.data ? <Shown plan={plan.data} steps={!other} /> : <Skeleton lines={6} />}
    </div>
  );
}

/** `steps`: those are the system engine's; another engine gets the tables alone. */
function Shown({ plan, steps }: { plan: PlanView; steps: boolean }) {
  return (
    <>
      {plan.scans.length > 0 && (
        <div className="grid gap-2 sm:grid-cols-2 xl:grid-cols-3">
          {plan.scans.map((scan, index) => (
            <Card key={index} className="p-3">
              <p className="truncate font-medium">
                {scan.table === null ? <i>A table behind a view</i> : <bdi>{scan.table}</bdi>}
              </p>
              <p className="mt-1 flex flex-wrap gap-1">
                <Badge>{scan.columns.length} columns</Badge>
                {scan.row_filter && <Badge tone="warn">rows filtered</Badge>}
                {scan.masked.length > 0 && <Badge tone="warn">masked: {scan.masked.join(", ")}</Badge>}
                {!scan.row_filter && scan.masked.length === 0 && <Badge tone="ok">whole table</Badge>}
                <Badge>{scan.enforcement}</Badge>
              </p>
              {scan.snapshot != null && <p className="text-text-3 mono mt-1 truncate">snapshot {String(scan.snapshot)}</p>}
            </Card>
          ))}
        </div>
      )}
      {steps && plan.nodes && (
        <ul role="tree" aria-label="Plan">
          <Node node={plan.nodes} depth={0} />
        </ul>
      )}
      {steps && (
        <details>
          <summary className="text-text-2 mb-2">As text</summary>
          <CodeBlock code={plan.text} />
        </details>
      )}
    </>
  );
}

function Node({ node, depth }: { node: PlanNode; depth: number }) {
  return (
    <li role="treeitem" aria-level={depth + 1} aria-selected={false}>
      <div className={cx("flex min-w-0 items-baseline gap-2 py-0.5")} style={{ paddingLeft: depth * 18 }}>
        <span aria-hidden className="text-text-3">{depth > 0 ? "└" : "•"}</span>
        <span className="font-medium whitespace-nowrap">{node.label || node.kind}</span>
        {node.detail && <span className="mono text-text-2 truncate" title={node.detail}>{node.detail}</span>}
      </div>
      {node.children.length > 0 && (
        <ul role="group">
          {node.children.map((child, index) => (
            <Node key={index} node={child} depth={depth + 1} />
          ))}
        </ul>
      )}
    </li>
  );
}
