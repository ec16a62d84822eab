import { useQuery } from "@tanstack/react-query";
import { Layers } from "lucide-react";

import { api } from "@/api/client";
import { Badge, Card, EmptyState, ErrorBox, Skeleton, Table } from "@/ui";
import { bytes, duration } from "@/ui/format";

interface Stage {
  id: number;
  attempt: number;
  name: string;
  state: string;
  tasks: number;
  failed_tasks: number;
  seconds: number;
  cpu_seconds: number;
  input_bytes: number;
  output_bytes: number;
  shuffle_read_bytes: number;
  shuffle_write_bytes: number;
  disk_spilled_bytes: number;
  skew: number;
  skewed: boolean;
  failure: string | null;
}
interface Application {
  id: string;
  name: string;
  spark: string;
  seconds: number;
  executors: number;
  stages: Stage[];
}

/** What the run's own Sparks logged: stages with their skew and spill. */
export function Stages({ runId, attempt, live }: { runId: string; attempt: number; live: boolean }) {
  const found = useQuery({
    queryKey: ["runs", "stages", runId, attempt],
    queryFn: async ({ signal }) =>
      (await api.get("/api/v1/job-runs/{run_id}/spark", {
        path: { run_id: runId },
        query: { attempt },
        signal,
      })) as unknown as Application[],
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
          {
            key: "in",
            header: "Read",
            width: "5.5rem",
            align: "right",
            sort: (stage) => stage.input_bytes + stage.shuffle_read_bytes,
            cell: (stage) => bytes(stage.input_bytes + stage.shuffle_read_bytes),
          },
          {
            key: "out",
            header: "Written",
            width: "5.5rem",
            align: "right",
            sort: (stage) => stage.output_bytes + stage.shuffle_write_bytes,
            cell: (stage) => bytes(stage.output_bytes + stage.shuffle_write_bytes),
          },
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
