import { useQuery } from "@tanstack/react-query";
import { SquareTerminal } from "lucide-react";

import { api, type Got } from "@/api/client";
import { openQuery } from "@/shell/openQuery";
import { Page } from "@/shell/Page";
import { useUrl } from "@/shell/url";
import { Awaiting, Badge, Button, Card, CodeBlock, EmptyState, ErrorBox, KeyValue, Table, Tabs } from "@/ui";
import { bytes, count, dateTime, duration } from "@/ui/format";

import { AgainButton, CancelButton } from "./actions";
import { isActive, useNow } from "./model";
import { PhaseBadge } from "./PhaseBadge";
import { type Span, Timeline } from "./Timeline";

type Detail = Got<"/api/v1/runs/{statement_id}">;
type Decision = Record<string, unknown>;

/** One statement: its text, its time and cost, and what was decided for it. */
export function StatementRun({ id }: { id: string }) {
  const [{ tab = "overview" }, setUrl] = useUrl<{ tab?: string }>();
  const found = useQuery({
    queryKey: ["runs", "statement", id],
    queryFn: ({ signal }) => api.get("/api/v1/runs/{statement_id}", { path: { statement_id: id }, signal }),
    refetchInterval: (query) =>
      query.state.data && isActive(query.state.data.activity.phase) ? 1000 : false,
  });
  const detail = found.data;
  const row = detail?.activity;
  const sql = detail?.sql ?? detail?.text ?? "";
  return (
    <Page
      crumbs={[{ label: "Runs", to: "/runs" }, { label: row ? row.title.slice(0, 80) || id : id }]}
      scroll={false}
      actions={
        row && (
          <>
            {detail.sql && (
              <Button
                icon={SquareTerminal}
                onClick={() => openQuery({ sql, schema: detail.schema ?? undefined, dialect: detail.dialect })}
              >
                Open in Query
              </Button>
            )}
            {isActive(row.phase) ? <CancelButton id={id} /> : detail.sql && <AgainButton id={id} />}
          </>
        )
      }
    >
      <Awaiting of={found} />
      {detail && (
        <Tabs
          fill
          value={tab}
          onChange={(value) => setUrl({ tab: value })}
          items={[
            { value: "overview", label: "Overview" },
            { value: "decisions", label: "Decisions", count: detail.decisions.length },
          ]}
        >
          <div className="min-h-0 flex-1 overflow-auto p-4">
            {tab === "decisions" ? <Decisions of={detail.decisions} /> : <Overview detail={detail} sql={sql} />}
          </div>
        </Tabs>
      )}
    </Page>
  );
}

function Overview({ detail, sql }: { detail: Detail; sql: string }) {
  const row = detail.activity;
  const now = useNow(isActive(row.phase));
  const spans: Span[] = [
    {
      label: "Waited, planned",
      from: row.created_ms,
      to: row.started_ms ?? row.finished_ms ?? null,
      tone: "wait",
    },
  ];
  if (row.started_ms != null) {
    spans.push({
      label: "Ran",
      from: row.started_ms,
      to: row.finished_ms,
      tone: row.phase === "failed" ? "bad" : row.phase === "success" ? "ok" : row.phase === "cancelled" ? "off" : "run",
    });
  }
  return (
    <div className="mx-auto flex max-w-5xl flex-col gap-4">
      {row.error && (
        <ErrorBox error={{ message: row.error, code: row.error_code }} title="It failed" />
      )}
      <Card title="Statement">
        <div className="flex flex-col gap-2 p-3">
          <CodeBlock code={sql} language="sql" wrap className="max-h-96" />
          {!detail.sql && (
            <p className="text-text-3 text-sm">
              Literals are left out: a text is kept whole only for who wrote it, and only for a while.
            </p>
          )}
        </div>
      </Card>
      <Card title="Time">
        <div className="p-3">
          <Timeline spans={spans} now={now} />
        </div>
      </Card>
      <Card title="Facts">
        <div className="grid gap-6 p-3 md:grid-cols-2">
          <KeyValue
            items={[
              ["State", <PhaseBadge key="s" phase={row.phase} state={row.state} />],
              ["User", <bdi key="u">{row.user}</bdi>],
              ...(row.impersonator ? [["Run by", row.impersonator] as const] : []),
              ["Role", row.role ?? "all that are held"],
              ["Dialect", detail.dialect],
              ["Schema", detail.schema ?? "–"],
              ["From", row.source || "–"],
              ["Id", <span key="i" className="mono">{row.id}</span>],
            ]}
          />
          <KeyValue
            items={[
              ["Began", dateTime(row.created_ms)],
              ["Took", duration(detail.elapsed_seconds == null ? null : detail.elapsed_seconds * 1000)],
              ["Engine", row.engine ?? "the server itself"],
              ["CPU", duration((row.cpu_seconds ?? 0) * 1000)],
              ["Memory at most", bytes(row.peak_memory_bytes)],
              ["Scanned", bytes(row.scanned_bytes)],
              ["Rows", count(row.rows)],
              ["Result", bytes(detail.result_bytes)],
            ]}
          />
        </div>
      </Card>
    </div>
  );
}

function Decisions({ of }: { of: Decision[] }) {
  const text = (value: unknown) =>
    value == null ? "" : Array.isArray(value) ? value.join(", ") : String(value as string);
  return (
    <Card>
      <Table
        label="Decisions"
        rows={of}
        rowKey={(row) => String(row.id)}
        empty={
          <EmptyState icon={SquareTerminal} title="No decisions">
            The statement ended before anything had to be decided.
          </EmptyState>
        }
        columns={[
          {
            key: "outcome",
            header: "Outcome",
            width: "6rem",
            cell: (row) => (
              <Badge tone={row.outcome === "deny" || row.outcome === "failed" ? "bad" : "ok"}>
                {text(row.outcome)}
              </Badge>
            ),
          },
          { key: "action", header: "Action", width: "9rem", cell: (row) => text(row.action ?? row.kind) },
          { key: "on", header: "On", cell: (row) => <bdi>{text(row.securable)}</bdi> },
          { key: "why", header: "Why", cell: (row) => <span title={text(row.reasons)}>{text(row.reasons)}</span> },
          { key: "policies", header: "Policies", cell: (row) => text(row.policies) },
          { key: "columns", header: "Columns", cell: (row) => <span title={text(row.columns)}>{text(row.columns)}</span> },
        ]}
      />
    </Card>
  );
}
