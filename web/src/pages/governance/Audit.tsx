import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Download, FileSearch, ShieldCheck } from "lucide-react";
import { useEffect, useMemo, useState } from "react";

import { address, api, ApiError } from "@/api/client";
import { useUrl } from "@/shell/url";
import { Badge, Button, CodeBlock, Dialog, EmptyState, ErrorBox, Menu, SearchInput, Select, Skeleton, Table } from "@/ui";
import { count, dateTime } from "@/ui/format";

interface Url {
  q?: string;
  kind?: string;
  outcome?: string;
  who?: string;
  since?: string;
}
type Event = Record<string, unknown>;

const SPANS: Record<string, number> = { "1h": 3_600_000, "24h": 86_400_000, "7d": 7 * 86_400_000, "30d": 30 * 86_400_000 };
const PAGE = 200;

function said(value: unknown): string {
  if (value == null) return "";
  return Array.isArray(value) ? value.map(String).join(", ") : String(value as string);
}

/** Every decision and change, as far as the caller may know. */
export function Audit() {
  const [url, setUrl] = useUrl<Url>();
  const [open, setOpen] = useState<Event | null>(null);
  const [q, setQ] = useState(url.q ?? "");
  useEffect(() => {
    const timer = setTimeout(() => setUrl({ q: q.trim() || undefined }), 300);
    return () => clearTimeout(timer);
  }, [q, setUrl]);
  const filters = useMemo(() => {
    const span = SPANS[url.since ?? ""];
    return {
      q: url.q,
      kind: url.kind as "decision" | undefined,
      outcome: url.outcome,
      principal: url.who,
      since_ms: span ? Math.floor((Date.now() - span) / 60_000) * 60_000 : undefined,
    };
  }, [url.q, url.kind, url.outcome, url.who, url.since]);
  const found = useInfiniteQuery({
    queryKey: ["governance", "audit", filters],
    initialPageParam: undefined as number | undefined,
    queryFn: ({ pageParam, signal }) =>
      api.get("/api/v1/audit", { query: { ...filters, before: pageParam, limit: PAGE }, signal }),
    getNextPageParam: (last) => last.next ?? undefined,
  });
  const rows = useMemo(() => found.data?.pages.flatMap((page) => page.events as Event[]), [found.data]);
  const everything = found.data?.pages[0]?.everything ?? false;
  const save = (format: string) =>
    window.location.assign(address("/api/v1/audit/export", {}, { ...filters, format }));
  return (
    <div className="flex min-h-0 flex-1 flex-col">
      <div className="bg-surface flex shrink-0 flex-wrap items-center gap-2 border-b px-4 py-2">
        <SearchInput value={q} onChange={setQ} placeholder="Search events" className="w-56" />
        <SearchInput
          value={url.who ?? ""}
          onChange={(who) => setUrl({ who: who || undefined })}
          placeholder="User, exactly"
          className="w-36"
        />
        <Select
          label="Kind"
          className="!w-32"
          value={url.kind ?? ""}
          onChange={(kind) => setUrl({ kind: kind || undefined })}
          options={[
            { value: "", label: "Every kind" },
            { value: "decision", label: "Decisions" },
            { value: "completion", label: "Ends" },
            { value: "change", label: "Changes" },
          ]}
        />
        <Select
          label="Outcome"
          className="!w-32"
          value={url.outcome ?? ""}
          onChange={(outcome) => setUrl({ outcome: outcome || undefined })}
          options={[
            { value: "", label: "Any outcome" },
            ...["allow", "deny", "done", "failed", "canceled"].map((each) => ({ value: each, label: each })),
          ]}
        />
        <Select
          label="Time"
          className="!w-32"
          value={url.since ?? ""}
          onChange={(since) => setUrl({ since: since || undefined })}
          options={[
            { value: "", label: "Any time" },
            { value: "1h", label: "Last hour" },
            { value: "24h", label: "Last 24 hours" },
            { value: "7d", label: "Last 7 days" },
            { value: "30d", label: "Last 30 days" },
          ]}
        />
        <span className="flex-1" />
        {everything && (
          <>
            <Verify />
            <Menu
              align="end"
              trigger={<Button icon={Download}>Export</Button>}
              items={[
                { label: "CSV", onSelect: () => save("csv") },
                { label: "JSON, an event on each line", onSelect: () => save("json") },
              ]}
            />
          </>
        )}
      </div>
      {found.data && !everything && (
        <p className="bg-surface-2 text-text-2 border-b px-4 py-1">
          These are your own events. All of them are for those who manage grants on the catalog.
        </p>
      )}
      <div className="min-h-0 flex-1 overflow-auto">
        {found.error ? (
          <div className="p-4">
            <ErrorBox error={found.error} onRetry={() => void found.refetch()} />
          </div>
        ) : found.isPending ? (
          <div className="p-4">
            <Skeleton lines={8} className="h-6" />
          </div>
        ) : (
          <>
            <Table<Event>
              label="Audit events"
              rows={rows}
              rowKey={(row) => String(row.sequence)}
              onRow={setOpen}
              maxHeight="none"
              empty={
                <EmptyState icon={FileSearch} title="No event matches">
                  Every decision, refusal and change is kept here, in a chain that shows tampering.
                </EmptyState>
              }
              columns={[
                { key: "time", header: "Time", width: "10.5rem", cell: (row) => <span className="tabular-nums">{dateTime(Number(row.time_ms))}</span> },
                {
                  key: "outcome",
                  header: "Outcome",
                  width: "6rem",
                  cell: (row) => (
                    <Badge
                      tone={row.outcome === "deny" || row.outcome === "failed" ? "bad" : row.kind === "change" ? "info" : "neutral"}
                    >
                      {said(row.outcome)}
                    </Badge>
                  ),
                },
                {
                  key: "who",
                  header: "Who",
                  width: "10rem",
                  cell: (row) => (
                    <>
                      <bdi>{said(row.principal)}</bdi>
                      {row.impersonator != null && <span className="text-warn"> by {said(row.impersonator)}</span>}
                    </>
                  ),
                },
                { key: "action", header: "Action", width: "12rem", cell: (row) => said(row.action ?? row.kind) },
                { key: "on", header: "On", cell: (row) => <bdi title={said(row.securable)}>{said(row.securable)}</bdi> },
                { key: "why", header: "Why", cell: (row) => <span title={said(row.reasons)}>{said(row.reasons ?? row.error_code)}</span> },
                { key: "seq", header: "#", width: "5rem", align: "right", cell: (row) => count(Number(row.sequence)) },
              ]}
            />
            {found.hasNextPage && (
              <div className="flex justify-center p-3">
                <Button busy={found.isFetchingNextPage} onClick={() => void found.fetchNextPage()}>
                  Older events
                </Button>
              </div>
            )}
          </>
        )}
      </div>
      <Dialog
        open={open !== null}
        onOpenChange={(next) => !next && setOpen(null)}
        width="lg"
        title={`Event ${said(open?.sequence)}`}
        description={open ? `${said(open.action ?? open.kind)} · ${dateTime(Number(open.time_ms))}` : undefined}
      >
        <CodeBlock language="json" wrap code={JSON.stringify(open, null, 2)} />
      </Dialog>
    </div>
  );
}

function Verify() {
  const found = useQuery({
    queryKey: ["audit-verify"],
    enabled: false,
    retry: false,
    queryFn: ({ signal }) => api.get("/api/v1/audit/verify", { signal }),
  });
  const bad = found.data?.problem ?? (found.error instanceof ApiError ? found.error.message : null);
  return (
    <>
      {found.data && (
        <Badge tone={bad ? "bad" : "ok"} title={bad ?? `head ${found.data.head_sequence}:${found.data.head_hash}`}>
          {bad ?? `${count(found.data.events)} events, none altered`}
        </Badge>
      )}
      <Button icon={ShieldCheck} busy={found.isFetching} onClick={() => void found.refetch()}>
        Verify
      </Button>
    </>
  );
}
