import { Link } from "@tanstack/react-router";
import { useQuery } from "@tanstack/react-query";

import { api, type Got } from "@/api/client";
import { Page } from "@/shell/Page";
import { useUrl } from "@/shell/url";
import { Awaiting, Badge, Card, CodeBlock, ErrorBox, KeyValue, Select, Table, Tabs } from "@/ui";
import { bytes, count, dateTime, duration } from "@/ui/format";

import { AgainButton, CancelButton } from "./actions";
import { Logs } from "./Logs";
import { took, useNow } from "./model";
import { PhaseBadge } from "./PhaseBadge";
import { Stages } from "./Stages";
import { type Span, Timeline } from "./Timeline";

type Run = Got<"/api/v1/job-runs/{run_id}">;

const FINAL = ["SUCCESS", "FAILED", "CANCELLED"];
const WAITING = ["SUBMITTED", "QUEUED"];

function phase(state: string): string {
  if (FINAL.includes(state)) return state.toLowerCase();
  return WAITING.includes(state) ? "waiting" : "running";
}

/** One job run: attempts, logs, stages, statements, what it used. */
export function JobRun({ id }: { id: string }) {
  const [{ tab = "overview", attempt: chosen }, setUrl] = useUrl<{ tab?: string; attempt?: string }>();
  const found = useQuery({
    queryKey: ["runs", "job", id],
    queryFn: ({ signal }) => api.get("/api/v1/job-runs/{run_id}", { path: { run_id: id }, signal }),
    refetchInterval: (query) => (query.state.data && !FINAL.includes(query.state.data.state) ? 1000 : false),
  });
  const run = found.data;
  const ended = run ? FINAL.includes(run.state) : false;
  const attempts = run?.attempts ?? [];
  const attempt = Number(chosen) || run?.attempt || 1;
  return (
    <Page
      crumbs={[{ label: "Runs", to: "/runs" }, { label: run?.name ?? id }]}
      scroll={false}
      actions={run && (ended ? <AgainButton id={id} /> : <CancelButton id={id} />)}
    >
      <Awaiting of={found} />
      {run && (
        <Tabs
          fill
          value={tab}
          onChange={(value) => setUrl({ tab: value })}
          items={[
            { value: "overview", label: "Overview" },
            { value: "logs", label: "Logs" },
            ...(run.kind === "pyspark" || run.kind === "jar" ? [{ value: "stages", label: "Stages" }] : []),
            { value: "statements", label: "Statements" },
            { value: "specification", label: "Specification" },
          ]}
          actions={
            attempts.length > 1 && (tab === "logs" || tab === "stages") ? (
              <Select
                label="Attempt"
                size="sm"
                className="!w-32"
                value={String(attempt)}
                onChange={(value) => setUrl({ attempt: value })}
                options={attempts.map((each) => ({ value: String(each.number), label: `Attempt ${each.number}` }))}
              />
            ) : undefined
          }
        >
          {tab === "logs" ? (
            <Logs key={attempt} runId={id} attempt={attempt} />
          ) : (
            <div className="min-h-0 flex-1 overflow-auto p-4">
              <div className="mx-auto flex max-w-5xl flex-col gap-4">
                {tab === "overview" && <Overview run={run} />}
                {tab === "stages" && <Stages runId={id} attempt={attempt} live={!ended} />}
                {tab === "statements" && <Statements runId={id} live={!ended} />}
                {tab === "specification" && (
                  <CodeBlock language="json" code={JSON.stringify(run.specification, null, 2)} />
                )}
              </div>
            </div>
          )}
        </Tabs>
      )}
    </Page>
  );
}

function Overview({ run }: { run: Run }) {
  const ended = FINAL.includes(run.state);
  const now = useNow(!ended);
  const attempts = run.attempts ?? [];
  const spans: Span[] = [];
  let from = run.created_ms;
  for (const each of attempts) {
    const started = each.started_ms ?? each.finished_ms;
    spans.push({ label: each.number === 1 ? "Waited" : "Waited again", from, to: started, tone: "wait" });
    if (each.started_ms != null) {
      spans.push({
        label: `Attempt ${each.number}`,
        from: each.started_ms,
        to: each.finished_ms,
        tone: each.state === "SUCCESS" ? "ok" : each.state === "FAILED" ? "bad" : each.finished_ms ? "off" : "run",
      });
    }
    from = each.finished_ms ?? from;
  }
  if (attempts.length === 0) spans.push({ label: "Waits", from, to: run.finished_ms, tone: "wait" });
  const sum = (name: string) => attempts.reduce((all, each) => all + (Number(each.usage[name]) || 0), 0);
  const most = Math.max(0, ...attempts.map((each) => Number(each.usage.peak_memory_bytes) || 0));
  return (
    <>
      {run.reason && run.state === "FAILED" && (
        <ErrorBox error={{ message: run.reason, code: run.error_code }} title="It failed" />
      )}
      <Card title="Time">
        <div className="p-3">
          <Timeline spans={spans} now={now} />
        </div>
      </Card>
      <div className="grid gap-4 md:grid-cols-2">
        <Card title="Facts">
          <div className="p-3">
            <KeyValue
              items={[
                ["State", <PhaseBadge key="s" phase={phase(run.state)} state={run.state} />],
                ["Kind", run.kind],
                ["User", <bdi key="u">{run.user}</bdi>],
                ["Role", run.role ?? "all that are held"],
                ["Program", <span key="p" className="mono">{run.program}</span>],
                ["Submitted", dateTime(run.created_ms)],
                ["Attempts", `${run.attempt} of ${run.max_attempts} at most`],
                ...(run.cancelled_by ? [["Cancelled by", run.cancelled_by] as const] : []),
                ...(run.retry_of
                  ? [
                      [
                        "Again of",
                        <Link key="r" className="text-accent mono" to={`/runs/${run.retry_of}`}>
                          {run.retry_of}
                        </Link>,
                      ] as const,
                    ]
                  : []),
                ["Id", <span key="i" className="mono">{run.id}</span>],
              ]}
            />
          </div>
        </Card>
        <Card title="Usage">
          <div className="p-3">
            <KeyValue
              items={[
                ["CPU of its processes", duration(sum("cpu_seconds") * 1000)],
                ["CPU of the engine", duration(sum("engine_cpu_seconds") * 1000)],
                ["Given", `${sum("vcpu_seconds").toFixed(1)} vCPU s`],
                ["Memory", `${sum("memory_gb_seconds").toFixed(1)} GB s`],
                ["Memory at most", bytes(most)],
                ["Read", bytes(sum("bytes_read"))],
                ["Written", bytes(sum("bytes_written"))],
                ["Statements", count(sum("queries"))],
              ]}
            />
          </div>
        </Card>
      </div>
      <Card title="Attempts">
        <Table
          label="Attempts"
          rows={attempts}
          rowKey={(each) => String(each.number)}
          empty={<p className="text-text-2 p-3">It has not begun yet: it waits for room.</p>}
          columns={[
            { key: "n", header: "#", width: "3rem", cell: (each) => each.number },
            {
              key: "state",
              header: "State",
              width: "8rem",
              cell: (each) => <PhaseBadge phase={phase(each.state)} state={each.state} />,
            },
            { key: "why", header: "Why", cell: (each) => <span title={each.reason ?? ""}>{each.reason ?? ""}</span> },
            { key: "release", header: "Release", width: "8rem", cell: (each) => each.release ?? "–" },
            { key: "sandbox", header: "Sandbox", width: "7rem", cell: (each) => each.sandbox ?? "–" },
            { key: "exit", header: "Exit", width: "4rem", align: "right", cell: (each) => each.exit_status ?? "" },
            {
              key: "took",
              header: "Took",
              width: "6rem",
              align: "right",
              cell: (each) =>
                duration(each.started_ms == null ? null : (each.finished_ms ?? now) - each.started_ms),
            },
          ]}
        />
      </Card>
    </>
  );
}

function Statements({ runId, live }: { runId: string; live: boolean }) {
  const found = useQuery({
    queryKey: ["runs", "statements", runId],
    queryFn: ({ signal }) => api.get("/api/v1/runs", { query: { run_id: runId, limit: 500 }, signal }),
    refetchInterval: live ? 2000 : false,
  });
  if (found.error) return <ErrorBox error={found.error} />;
  return (
    <Card>
      <Table
        label="Statements of this run"
        rows={found.data?.rows}
        loading={found.isPending}
        rowKey={(row) => row.id}
        empty={<p className="text-text-2 p-3">This run asked nothing of the engine.</p>}
        columns={[
          { key: "state", header: "State", width: "8rem", cell: (row) => <PhaseBadge phase={row.phase} /> },
          {
            key: "sql",
            header: "Statement",
            cell: (row) => (
              <Link to={`/runs/${encodeURIComponent(row.id)}`} className="mono hover:text-accent">
                {row.title}
              </Link>
            ),
          },
          { key: "error", header: "Error", width: "12rem", cell: (row) => row.error_code && <Badge tone="bad">{row.error_code}</Badge> },
          { key: "took", header: "Took", width: "6rem", align: "right", cell: (row) => duration(took(row, Date.now())) },
          { key: "rows", header: "Rows", width: "6rem", align: "right", cell: (row) => count(row.rows) },
        ]}
      />
    </Card>
  );
}
