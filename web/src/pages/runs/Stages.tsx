import { useQuery } from "@tanstack/react-query";
import { Layers } from "lucide-react";

import type { Got } from "@/api/client";
import { api } from "@/api/client";
import type { TableColumn } from "@/ui";
import { Badge, Card, EmptyState, ErrorBox, Skeleton, Table } from "@/ui";
import { bytes, duration } from "@/ui/format";

type Stage = Got<"/api/v1/job-runs/{run_id}/spark">[number]["stages"][number];

/** What the run's own Sparks logged: stages with their skew and spill. */
export function Stages({ runId, attempt, live }: { runId: string; attempt: number; live: boolean }) {
  const found = useQuery({
    queryKey: ["runs", "stages", runId, attempt],
    queryFn: ({ signal }) =>
      api.get("/api/v1/job-runs/{run_id}/spark", { path: { run_id: runId }, query: { attempt }, signal }),
    refetchInterval: live ? 3000 : false,
  });
  if (found.error) return <ErrorBox error={found.error} />;
  if (found.isPending) return <Skeleton lines={6} />;
  if (found.data.length === 0) {
    return (
      <EmptyState icon={Layers} title="No stages">
        Spark writes its stages down once it has begun. Sail, and programs without Spark, have none.
      </EmptyState>
    );
  }
  return found.data.map((app) => (
    <Card
      key={app.id}
      title={`${app.name || app.id} · Spark ${app.spark}`}
      actions={
        <span className="text-text-2">
          {duration(app.seconds * 1000)}, {app.executors} executors
        </span>
      }
    >
      <Table
        label={`Stages of ${app.id}`}
        rows={app.stages}
        rowKey={(stage) => `${stage.id}.${stage.attempt}`}
        columns={[
          { key: "id", header: "Stage", width: "4rem", cell: (stage) => `${stage.id}.${stage.attempt}` },
          {
            key: "name",
            header: "What",
            cell: (stage) => <span title={stage.failure ?? stage.name}>{stage.name}</span>,
          },
          {
            key: "state",
            header: "State",
            width: "6rem",
            cell: (stage) => (
              <Badge tone={stage.state === "failed" ? "bad" : stage.state === "running" ? "info" : "ok"}>
                {stage.state}
              </Badge>
            ),
          },
          {
            key: "tasks",
            header: "Tasks",
            width: "6rem",
            align: "right",
            sort: (stage) => stage.tasks,
            cell: (stage) => (stage.failed_tasks ? `${stage.tasks} (${stage.failed_tasks} failed)` : stage.tasks),
          },
          {
            key: "time",
            header: "Took",
            width: "5rem",
            align: "right",
            sort: (stage) => stage.seconds,
            cell: (stage) => duration(stage.seconds * 1000),
          },
          {
            key: "skew",
            header: "Skew",
            width: "5rem",
            align: "right",
            sort: (stage) => stage.skew,
            cell: (stage) =>
              stage.skewed ? <Badge tone="warn">×{stage.skew.toFixed(1)}</Badge> : `×${stage.skew.toFixed(1)}`,
          },
          size("in", "Read", (stage) => stage.input_bytes + stage.shuffle_read_bytes),
          size("out", "Written", (stage) => stage.output_bytes + stage.shuffle_write_bytes),
          {
            key: "spill",
            header: "Spilled",
            width: "5.5rem",
            align: "right",
            sort: (stage) => stage.disk_spilled_bytes,
            cell: (stage) => (stage.disk_spilled_bytes ? <Badge tone="warn">{bytes(stage.disk_spilled_bytes)}</Badge> : "–"),
          },
        ]}
      />
    </Card>
  ));
}

/** A column of sizes in bytes. */
function size(key: string, header: string, of: (stage: Stage) => number): TableColumn<Stage> {
  return { key, header, width: "5.5rem", align: "right", sort: of, cell: (stage) => bytes(of(stage)) };
}
