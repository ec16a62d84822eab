import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { CircleAlert, CircleCheck, Download, Lock, RotateCw, Trash2 } from "lucide-react";
import { useState } from "react";

import { ApiError, api, type Got } from "@/api/client";
import { Page } from "@/shell/Page";
import { useUrl } from "@/shell/url";
import {
  Badge, Button, Card, Confirm, EmptyState, ErrorBox, IconButton, SearchInput, Skeleton, Switch, Table, Tabs, toast,
  toastError,
} from "@/ui";
import { ago, bytes, dateTime, duration, percent } from "@/ui/format";

type Release = Got<"/api/v1/admin/releases">[number];
type Process = Got<"/api/v1/admin/processes">[number];

const TABS = [
  { value: "health", label: "Health" },
  { value: "processes", label: "Processes" },
  { value: "releases", label: "Releases" },
  { value: "settings", label: "Settings" },
];

/** The server itself, for administrators. */
export function AdminPage() {
  const [{ tab = "health" }, setUrl] = useUrl<{ tab?: string; q?: string; changed?: string }>();
  const version = useQuery({
    queryKey: ["admin", "version"],
    queryFn: ({ signal }) => api.get("/api/v1/version", { signal }),
    staleTime: Infinity,
  });
  return (
    <Page
      crumbs={[{ label: "Admin" }]}
      scroll={false}
      actions={version.data && <span className="text-text-2">Headwater {version.data.version}</span>}
    >
      <Tabs fill label="Administration" value={tab} onChange={(value) => setUrl({ tab: value, q: undefined })} items={TABS}>
        <div className="min-h-0 flex-1 overflow-auto p-4">
          <div className="mx-auto max-w-6xl">
            {tab === "processes" ? (
              <Processes />
            ) : tab === "releases" ? (
              <Releases />
            ) : tab === "settings" ? (
              <Settings />
            ) : (
              <Health />
            )}
          </div>
        </div>
      </Tabs>
    </Page>
  );
}

/** What stands where something is for administrators, or could not be read. */
function Refused({ error, onRetry }: { error: unknown; onRetry: () => void }) {
  if (error instanceof ApiError && error.code === "PERMISSION_DENIED") {
    return (
      <EmptyState icon={Lock} title="For administrators">
        You need MANAGE GRANTS on the catalog to see this. What you ran yourself, with its logs and its cost, is on the
        Runs page.
      </EmptyState>
    );
  }
  return <ErrorBox error={error} onRetry={onRetry} />;
}

function Health() {
  const found = useQuery({
    queryKey: ["admin", "doctor"],
    queryFn: ({ signal }) => api.get("/api/v1/doctor", { signal }),
    retry: false,
  });
  if (found.error) return <Refused error={found.error} onRetry={() => void found.refetch()} />;
  const bad = found.data?.filter((check) => !check.ok).length ?? 0;
  return (
    <Card
      title={found.data ? (bad ? `${bad} of ${found.data.length} checks need you` : "All is well") : "Doctor"}
      actions={
        <Button size="sm" icon={RotateCw} busy={found.isFetching} onClick={() => void found.refetch()}>
          Check again
        </Button>
      }
    >
      {found.isPending && (
        <div className="p-3">
          <Skeleton lines={8} className="h-6" />
        </div>
      )}
      <ul className="divide-border divide-y">
        {found.data?.map((check) => (
          <li key={check.name} className="grid grid-cols-[1.25rem_9rem_1fr] gap-3 px-3 py-2">
            {check.ok ? (
              <CircleCheck aria-label="good" size={16} className="text-ok mt-0.5" />
            ) : (
              <CircleAlert aria-label="needs attention" size={16} className="text-bad mt-0.5" />
            )}
            <span className="font-medium">{check.name}</span>
            <span className="min-w-0 break-words">
              {check.detail}
              {!check.ok && check.hint && <span className="text-text-2 block">{check.hint}</span>}
            </span>
          </li>
        ))}
      </ul>
    </Card>
  );
}

function Processes() {
  const found = useQuery({
    queryKey: ["admin", "processes"],
    queryFn: ({ signal }) => api.get("/api/v1/admin/processes", { signal }),
    refetchInterval: 3000,
    retry: false,
  });
  if (found.error && !found.data) return <Refused error={found.error} onRetry={() => void found.refetch()} />;
  const rows = found.data ?? [];
  const memory = rows.reduce((sum, row) => sum + row.memory_bytes, 0);
  const cpus = rows.reduce((sum, row) => sum + (row.cpus ?? 0), 0);
  return (
    <Card
      title="Processes"
      actions={
        found.data && (
          <span className="text-text-2 tabular-nums">
            {bytes(memory)} in memory, {cpus.toFixed(1)} CPUs busy
          </span>
        )
      }
    >
      <Table<Process>
        label="Processes"
        rows={found.data}
        loading={found.isPending}
        rowKey={(row) => `${row.kind}.${row.name}.${row.pid}`}
        columns={[
          { key: "kind", header: "Kind", width: "7rem", cell: (row) => <Badge>{row.kind}</Badge>, sort: (row) => row.kind },
          {
            key: "name",
            header: "Name",
            cell: (row) => (
              <span title={row.detail ?? undefined}>
                {row.name}
                {row.detail && <span className="text-text-2"> · {row.detail}</span>}
              </span>
            ),
          },
          {
            key: "user",
            header: "User",
            width: "9rem",
            cell: (row) => (row.user ? `${row.user}${row.role ? ` as ${row.role}` : ""}` : ""),
          },
          {
            key: "state",
            header: "State",
            width: "7rem",
            cell: (row) => (
              <>
                {row.state}
                {row.restarts > 0 && <span className="text-warn"> · {row.restarts} restarts</span>}
              </>
            ),
          },
          { key: "pid", header: "Process", width: "5rem", align: "right", cell: (row) => row.pid ?? "–" },
          { key: "count", header: "Tree", width: "4rem", align: "right", cell: (row) => row.processes },
          {
            key: "memory",
            header: "Memory",
            width: "6rem",
            align: "right",
            sort: (row) => row.memory_bytes,
            cell: (row) => bytes(row.memory_bytes),
          },
          {
            key: "cpus",
            header: "CPU",
            width: "5rem",
            align: "right",
            sort: (row) => row.cpus,
            cell: (row) => (row.cpus == null ? "–" : percent(row.cpus)),
          },
          {
            key: "used",
            header: "CPU time",
            width: "6rem",
            align: "right",
            sort: (row) => row.cpu_seconds,
            cell: (row) => duration(row.cpu_seconds * 1000),
          },
          {
            key: "since",
            header: "Began",
            width: "7rem",
            cell: (row) => <span title={dateTime(row.started_ms)}>{ago(row.started_ms)}</span>,
          },
        ]}
      />
    </Card>
  );
}

function Releases() {
  const client = useQueryClient();
  const [removing, setRemoving] = useState<Release | null>(null);
  const found = useQuery({
    queryKey: ["admin", "releases"],
    queryFn: ({ signal }) => api.get("/api/v1/admin/releases", { signal }),
    refetchInterval: (query) =>
      query.state.data?.some((each) => each.installing && !each.installing.error) ? 1000 : false,
    retry: false,
  });
  const again = () => client.invalidateQueries({ queryKey: ["admin", "releases"] });
  const install = useMutation({
    mutationFn: (name: string) =>
      api.post("/api/v1/admin/releases/{name}/install", { path: { name }, body: {} }),
    onSuccess: again,
    onError: toastError,
  });
  if (found.error && !found.data) return <Refused error={found.error} onRetry={() => void found.refetch()} />;
  if (found.isPending) return <Skeleton lines={6} className="h-16" />;
  return (
    <div className="flex flex-col gap-3">
      <p className="text-text-2">
        A release is a pinned bundle of Sail or Spark with its Python, Java and jars. It is installed when it is first
        needed; doing it here saves the first user the wait.
      </p>
      {found.data?.map((each) => (
        <Card key={each.name}>
          <div className="flex items-start gap-4 p-3">
            <div className="min-w-0 flex-1">
              <h2 className="flex items-center gap-2 font-semibold">
                {each.name}
                <Badge tone={each.installed ? "ok" : "neutral"}>{each.installed ? "installed" : "not installed"}</Badge>
                {each.end_of_life && new Date(each.end_of_life) < new Date() && (
                  <Badge tone="warn">end of life {each.end_of_life}</Badge>
                )}
              </h2>
              <p className="text-text-2">{each.summary}</p>
              <p className="text-text-3 mt-1 text-sm">
                Python {each.python}
                {each.java.length > 0 && ` · Java ${each.java.join(", ")}`}
                {each.installed && ` · ${bytes(each.bytes_on_disk)} · used ${ago(each.last_used_ms)}`}
                {!each.installed && ` · takes about ${duration(each.install_seconds * 1000)}`}
              </p>
              {each.installing && !each.installing.error && (
                <div className="mt-2 flex items-center gap-3">
                  <span
                    role="progressbar"
                    aria-label={`Installing ${each.name}`}
                    aria-valuenow={Math.round(each.installing.share * 100)}
                    className="bg-surface-2 block h-1.5 w-64 overflow-hidden rounded-full"
                  >
                    <span
                      className="bg-accent block h-full rounded-full transition-[width]"
                      style={{ width: `${each.installing.share * 100}%` }}
                    />
                  </span>
                  <span className="text-text-2">{each.installing.doing}</span>
                </div>
              )}
              {each.installing?.error && (
                <div className="mt-2">
                  <ErrorBox title="It could not be installed" error={each.installing.error} />
                </div>
              )}
            </div>
            {each.installed ? (
              <IconButton icon={Trash2} label={`Remove ${each.name}`} onClick={() => setRemoving(each)} />
            ) : (
              <Button
                icon={Download}
                busy={Boolean(each.installing && !each.installing.error)}
                onClick={() => install.mutate(each.name)}
              >
                Install
              </Button>
            )}
          </div>
        </Card>
      ))}
      <Confirm
        open={removing !== null}
        onOpenChange={(open) => !open && setRemoving(null)}
        title={`Remove ${removing?.name}?`}
        action="Remove"
        danger
        onConfirm={async () => {
          if (!removing) return;
          await api.del("/api/v1/admin/releases/{name}", { path: { name: removing.name } });
          toast(`${removing.name} was removed`, { undo: () => install.mutateAsync(removing.name) });
          await again();
        }}
      >
        It frees {bytes(removing?.bytes_on_disk)}. The next run that needs it installs it again.
      </Confirm>
    </div>
  );
}

function Settings() {
  const [{ q = "", changed }, setUrl] = useUrl<{ q?: string; changed?: string }>();
  const found = useQuery({
    queryKey: ["admin", "settings"],
    queryFn: ({ signal }) => api.get("/api/v1/admin/settings", { signal }),
    retry: false,
  });
  if (found.error) return <Refused error={found.error} onRetry={() => void found.refetch()} />;
  const text = q.toLowerCase();
  const rows = found.data?.filter(
    (each) =>
      (!changed || each.changed) &&
      `${each.name} ${each.variable} ${each.description}`.toLowerCase().includes(text),
  );
  return (
    <Card
      title="Settings in force"
      actions={
        <>
          <Switch
            checked={Boolean(changed)}
            onChange={(on) => setUrl({ changed: on ? "1" : undefined })}
            label="Changed only"
          />
          <SearchInput value={q} onChange={(value) => setUrl({ q: value || undefined })} placeholder="Search settings" />
        </>
      }
    >
      <Table
        label="Settings"
        rows={rows}
        loading={found.isPending}
        rowKey={(row) => row.name}
        empty={<p className="text-text-2 p-3">No setting matches.</p>}
        columns={[
          { key: "name", header: "Setting", width: "17rem", cell: (row) => <span className="mono">{row.name}</span>, sort: (row) => row.name },
          {
            key: "value",
            header: "Value",
            width: "16rem",
            cell: (row) => (
              <span className="mono" title={row.value ?? undefined}>
                {row.value ?? <span className="text-text-3">not set</span>}
                {row.changed && (
                  <>
                    {" "}
                    <Badge tone="accent" title={`default: ${row.default ?? "not set"}`}>
                      changed
                    </Badge>
                  </>
                )}
              </span>
            ),
          },
          { key: "about", header: "What it is", cell: (row) => <span title={row.description}>{row.description}</span> },
          {
            key: "variable",
            header: "Variable",
            width: "20rem",
            cell: (row) => (
              <span className="mono text-text-2" title={row.variable}>
                {row.variable}
              </span>
            ),
          },
        ]}
      />
    </Card>
  );
}
