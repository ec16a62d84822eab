import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { ChartColumn, ChartLine, CircleCheck, Database, Play, Table2, TriangleAlert } from "lucide-react";
import { type ReactNode, useEffect } from "react";

import { api } from "@/api/client";
import { pageOf } from "@/pages/data/names";
import { go } from "@/shell/navigation";
import { openQuery } from "@/shell/openQuery";
import { Page } from "@/shell/Page";
import { useSession } from "@/shell/session";
import { Button, Card, EmptyState, ErrorBox, Skeleton } from "@/ui";

import { DropZone } from "./load/DropZone";
import { hand } from "./load/pending";
import { Recent } from "./Recent";
import { Saved } from "./Saved";

/** Where one begins: queries that run at a click, own data, what one did last, how the server is. */
export function HomePage(): ReactNode {
  const session = useSession();
  const client = useQueryClient();
  const welcome = useQuery({
    queryKey: ["home", "onboarding"],
    queryFn: ({ signal }) => api.get("/api/v1/onboarding", { signal }),
    refetchInterval: (query) => (query.state.data?.samples === "loading" ? 2000 : false),
  });
  const limits = useQuery({ queryKey: ["home", "limits"], queryFn: ({ signal }) => api.get("/api/v1/uploads/limits", { signal }) });
  const samples = useMutation({
    mutationFn: () => api.post("/api/v1/samples"),
    onSuccess: () => client.invalidateQueries({ queryKey: ["home", "onboarding"] }),
  });
  const found = welcome.data;
  const state = found?.samples;
  useEffect(() => {
    if (state === "ready") void client.invalidateQueries({ queryKey: ["data"] });
  }, [state, client]);
  const take = (files: File[]) => {
    hand(files);
    go("/import");
  };
  const mayLoad = found !== undefined && (found.schemas.length > 0 || found.may_create_schema);
  return (
    <Page crumbs={[{ label: "Home" }]}>
      <div className="mx-auto flex max-w-6xl flex-col gap-5">
        <header className="flex flex-wrap items-end gap-x-4 gap-y-1">
          <div className="min-w-0 flex-1">
            <h2 className="text-xl font-semibold">Hello, <bdi>{session.name}</bdi></h2>
            <p className="text-text-2">Run a query, bring a file, or look around in the lake.</p>
          </div>
          <Health />
        </header>
        {welcome.error && <ErrorBox error={welcome.error} onRetry={() => void welcome.refetch()} />}
        <div className="grid gap-5 lg:grid-cols-[minmax(0,3fr)_minmax(0,2fr)]">
          <Card title="Run your first query">
            {!found ? <div className="p-3"><Skeleton lines={6} className="h-8" /></div> : found.queries.length ? (
              <ul>
                {found.queries.map((query) => {
                  const Icon = query.chart === "line" ? ChartLine : ChartColumn;
                  return (
                    <li key={query.title} className="border-b last:border-0">
                      <button type="button" className="hover:bg-hover group flex w-full items-center gap-3 px-3 py-2.5 text-left outline-offset-[-2px]" onClick={() => openQuery({ sql: query.sql, title: query.title, run: true })}>
                        <Icon aria-hidden size={16} className="text-accent shrink-0" />
                        <span className="min-w-0 flex-1">
                          <span className="block font-medium">{query.title}</span>
                          <span className="text-text-2 block truncate">{query.about}</span>
                        </span>
                        <span className="text-text-2 group-hover:text-accent inline-flex items-center gap-1 text-sm"><Play aria-hidden size={13} />Run</span>
                      </button>
                    </li>
                  );
                })}
              </ul>
            ) : (
              <NoSamples state={found.samples} mayLoad={found.may_load_samples} busy={samples.isPending} onLoad={() => samples.mutate()} />
            )}
            {samples.error && <div className="p-3"><ErrorBox error={samples.error} /></div>}
          </Card>
          <Card title="Bring your own data" actions={mayLoad && <><Link to="/import" search={{ from: "folder" } as never} className="text-accent text-sm hover:underline">from a folder</Link><Link to="/import" search={{ from: "s3" } as never} className="text-accent ml-3 text-sm hover:underline">from S3</Link></>}>
            <div className="p-3">
              {!found ? <Skeleton lines={4} /> : mayLoad ? <DropZone compact limits={limits.data} onFiles={take} /> : (
                <p className="text-text-2 px-2 py-6 text-center">You may not make tables yet. Ask an administrator for CREATE TABLE on a schema.</p>
              )}
              {found?.may_connect && (
                <p className="text-text-2 mt-2 px-1 text-sm">
                  Tables in another catalog already? <Link to="/connect" className="text-accent hover:underline">Connect a catalog</Link>, without a copy.
                </p>
              )}
            </div>
          </Card>
        </div>
        <div className="grid items-start gap-5 lg:grid-cols-[minmax(0,3fr)_minmax(0,2fr)]">
          <div className="flex min-w-0 flex-col gap-5">
            <Recent />
            <Saved />
          </div>
          <Card title="Sample tables" actions={<Link to="/data" className="text-accent text-sm hover:underline">all tables</Link>}>
            {!found ? <div className="p-3"><Skeleton lines={5} /></div> : found.sample_tables.length ? (
              <ul className="py-1">
                {found.sample_tables.map((each) => {
                  const [schema = "", ...rest] = each.table.split(".");
                  const name = rest.join(".");
                  return (
                    <li key={each.table}>
                      <button type="button" className="hover:bg-hover flex w-full items-center gap-2 px-3 py-1 text-left outline-offset-[-2px]" onClick={() => go(pageOf(schema, name))} title={each.comment ?? undefined}>
                        <Table2 aria-hidden size={14} className="text-text-3 shrink-0" />
                        <bdi className="shrink-0 font-medium">{name}</bdi>
                        <bdi className="text-text-3 min-w-0 truncate text-sm">{each.comment}</bdi>
                      </button>
                    </li>
                  );
                })}
              </ul>
            ) : (
              <p className="text-text-2 p-3">No sample tables are visible to you. <Link to="/data" className="text-accent hover:underline">See what is.</Link></p>
            )}
          </Card>
        </div>
      </div>
    </Page>
  );
}

function NoSamples({ state, mayLoad, busy, onLoad }: { state: string; mayLoad: boolean; busy: boolean; onLoad: () => void }): ReactNode {
  if (state === "loading") {
    return <EmptyState icon={Database} title="The sample lake is being made">A million taxi trips and a year of flights: it takes a few seconds.</EmptyState>;
  }
  return (
    <EmptyState icon={Database} title="Nothing to try things on yet" actions={mayLoad && <Button variant="primary" busy={busy} onClick={onLoad}>Load the sample lake</Button>}>
      {mayLoad ? "Load the samples: taxi trips, flights and customers, in a schema of their own." : "Once somebody grants you tables, queries to begin with stand here."}
    </EmptyState>
  );
}

function Health(): ReactNode {
  const health = useQuery({ queryKey: ["home", "health"], queryFn: ({ signal }) => api.get("/api/v1/health", { signal }), refetchInterval: 30_000, retry: false });
  const version = useQuery({ queryKey: ["home", "version"], queryFn: ({ signal }) => api.get("/api/v1/version", { signal }), staleTime: Infinity });
  const ok = health.data?.status === "ok";
  if (health.isPending) return <span className="skeleton h-4 w-40" />;
  return (
    <p className="text-text-2 inline-flex items-center gap-1.5 text-sm" role="status">
      {ok ? <CircleCheck aria-hidden size={14} className="text-ok" /> : <TriangleAlert aria-hidden size={14} className="text-warn" />}
      {ok ? "Everything answers" : "The server has a problem"}
      {version.data && <span className="text-text-3">Headwater {version.data.version}</span>}
    </p>
  );
}
