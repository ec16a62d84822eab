import { useQuery } from "@tanstack/react-query";
import { RotateCw, Workflow } from "lucide-react";
import { useState } from "react";

import { Badge, Button, Card, CodeBlock, cx, EmptyState, ErrorBox, Skeleton } from "@/ui";

import type { PlanNode, PlanView, Submission } from "./calls";
import { calls } from "./calls";

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
  return (
    <div className="flex min-h-0 flex-1 flex-col gap-3 overflow-auto p-3">
      <div className="flex items-center gap-2">
        <span className="text-text-2 min-w-0 flex-1 truncate text-sm">
          {plan.data?.engine ? `Runs on ${plan.data.engine}. Nothing is run for this plan.` : "Nothing is run for this plan."}
        </span>
        <Button size="sm" icon={RotateCw} busy={plan.isFetching} onClick={() => { setAsked(submission()); void plan.refetch(); }}>
          Plan what is written now
        </Button>
      </div>
      {plan.error ? <ErrorBox error={plan.error} onRetry={() => void plan.refetch()} /> : plan.data ? <Shown plan={plan.data} /> : <Skeleton lines={6} />}
    </div>
  );
}

function Shown({ plan }: { plan: PlanView }) {
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
      {plan.nodes && (
        <ul role="tree" aria-label="Plan">
          <Node node={plan.nodes} depth={0} />
        </ul>
      )}
      <details>
        <summary className="text-text-2 mb-2">As text</summary>
        <CodeBlock code={plan.text} />
      </details>
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
