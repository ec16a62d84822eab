import { useQuery } from "@tanstack/react-query";
import { Cloud, FileText, Folder as FolderIcon, FolderUp, X } from "lucide-react";
import { type FormEvent, type ReactNode, useEffect, useRef, useState } from "react";

import { api, type components } from "@/api/client";
import { Button, Checkbox, CodeBlock, EmptyState, ErrorBox, Field, Input, Select, Skeleton } from "@/ui";
import { bytes, count, plural } from "@/ui/format";

import type { Sent } from "./send";

type Staging = components["schemas"]["StagingView"];

interface PlacesProps {
  kind: "folder" | "s3";
  /** Those of this kind that the user may read. */
  locations: readonly string[];
  onStaged: (files: Sent[]) => void;
}

const ABOUT = {
  folder: { title: "No folder of the server is open to you", example: "/data/incoming" },
  s3: { title: "No S3 location is open to you", example: "s3://bucket/incoming" },
};

/** Files in granted locations: folders of the server's machine, or prefixes on S3. */
export function Places({ kind, locations, onStaged }: PlacesProps): ReactNode {
  if (locations.length === 0) {
    return (
      <EmptyState icon={kind === "s3" ? Cloud : FolderIcon} title={ABOUT[kind].title}>
        <p>An administrator opens one on the page Governance, or by this statement:</p>
        <div className="mt-2 text-left"><CodeBlock code={`GRANT READ FILES ON LOCATION '${ABOUT[kind].example}' TO USER you`} /></div>
      </EmptyState>
    );
  }
  return <Browse kind={kind} locations={locations} onStaged={onStaged} />;
}

function Browse({ kind, locations, onStaged }: PlacesProps): ReactNode {
  const [root, setRoot] = useState(locations[0] ?? "");
  const [path, setPath] = useState(root);
  const [typed, setTyped] = useState(`${root}/`);
  const [chosen, setChosen] = useState<readonly string[]>([]);
  const staging = useStaging(onStaged);
  const listing = useQuery({
    queryKey: ["home", "location", path],
    queryFn: ({ signal }) => api.get("/api/v1/locations/files", { query: { path }, signal }),
    enabled: path !== "",
    retry: false,
  });
  const open = (next: string) => {
    setPath(next);
    setTyped(`${next}/`);
    setChosen([]);
  };
  const above = path.slice(0, path.lastIndexOf("/"));
  const take = (event: FormEvent) => {
    event.preventDefault();
    void staging.start(chosen.length ? chosen : [typed.trim()]);
  };
  if (staging.running) return <Copying staging={staging.running} onCancel={staging.cancel} />;
  return (
    <section aria-label={kind === "s3" ? "S3 locations" : "Folders of the server"} className="flex flex-col gap-3">
      <form className="flex flex-wrap items-end gap-2" onSubmit={take}>
        <Field label="Location" hint={"\u00a0"} className="w-64">
          <Select value={root} onChange={(value) => { setRoot(value); open(value); }} options={locations.map((each) => ({ value: each, label: each }))} />
        </Field>
        <Field label="File, folder or pattern" hint="A folder stands for all files below it; *.csv for some of them." className="min-w-64 flex-1">
          <Input value={typed} spellCheck={false} onChange={(event) => { setTyped(event.target.value); setChosen([]); }} />
        </Field>
        <span className="mb-5"><Button type="submit" variant="primary" disabled={!chosen.length && !typed.trim()} busy={staging.starting}>
          {chosen.length ? `Take ${plural(chosen.length, "file")}` : "Take files"}
        </Button></span>
      </form>
      {staging.error !== null && <ErrorBox error={staging.error} />}
      {listing.error ? <ErrorBox error={listing.error} onRetry={() => void listing.refetch()} /> : !listing.data ? <Skeleton lines={5} /> : (
        <ul className="bg-surface max-h-96 overflow-auto rounded-md border">
          {path !== root && (
            <li className="border-b"><button type="button" className="hover:bg-hover flex h-8 w-full items-center gap-2 px-3" onClick={() => open(above)}><FolderUp aria-hidden size={14} className="text-text-3" />Up</button></li>
          )}
          {listing.data.map((each) => (
            <li key={each.path} className="flex h-8 items-center gap-2 border-b px-3 last:border-0">
              {each.folder ? (
                <button type="button" className="hover:text-accent flex min-w-0 flex-1 items-center gap-2 text-left" onClick={() => open(each.path)}><FolderIcon aria-hidden size={14} className="text-text-3" /><bdi className="truncate">{each.name}</bdi></button>
              ) : (
                <>
                  <Checkbox checked={chosen.includes(each.path)} disabled={!each.format} onChange={(on) => setChosen((now) => (on ? [...now, each.path] : now.filter((other) => other !== each.path)))}
                    label={<span className="flex items-center gap-2"><FileText aria-hidden size={14} className="text-text-3" /><bdi className={each.format ? "" : "text-text-3"}>{each.name}</bdi></span>} />
                  <span className="flex-1" />
                  <span className="text-text-3 text-sm tabular-nums">{each.format ? bytes(each.bytes) : "cannot be loaded"}</span>
                </>
              )}
            </li>
          ))}
          {listing.data.length === 0 && <li className="text-text-2 p-3">The folder is empty.</li>}
          {listing.data.length === MOST_SHOWN && <li className="text-text-2 p-3">The first {count(MOST_SHOWN)} are shown. A pattern takes the others, too.</li>}
        </ul>
      )}
    </section>
  );
}

const MOST_SHOWN = 1000;

/** Has the server copy files, and follows it to its end. */
function useStaging(onStaged: (files: Sent[]) => void) {
  const [starting, setStarting] = useState(false);
  const [running, setRunning] = useState<Staging | null>(null);
  const [error, setError] = useState<unknown>(null);
  const control = useRef(new AbortController());
  const id = useRef<string | null>(null);
  const drop = () => {
    control.current.abort();
    if (id.current) void api.del("/api/v1/locations/stage/{staging_id}", { path: { staging_id: id.current } }).catch(() => undefined);
    id.current = null;
  };
  useEffect(() => drop, []);
  const start = async (paths: readonly string[]) => {
    const { signal } = (control.current = new AbortController());
    setStarting(true);
    setError(null);
    try {
      let now: Staging = await api.post("/api/v1/locations/stage", { query: { wait: 0.3 }, body: { paths: [...paths] }, signal });
      id.current = now.id;
      while (now.state === "RUNNING") {
        setRunning(now);
        now = await api.get("/api/v1/locations/stage/{staging_id}", { path: { staging_id: now.id }, query: { wait: 1 }, signal });
      }
      id.current = null;
      if (now.state === "FAILED") setError(now.error);
      else onStaged(now.uploads);
    } catch (problem) {
      if (!signal.aborted) setError(problem);
    }
    setStarting(false);
    setRunning(null);
  };
  return { start, starting, running, error, cancel: drop };
}

function Copying({ staging, onCancel }: { staging: Staging; onCancel: () => void }): ReactNode {
  const share = staging.total_bytes ? Math.min(1, staging.done_bytes / staging.total_bytes) : 0;
  return (
    <section aria-label="Copying" className="bg-surface flex flex-col gap-3 rounded-lg border p-4">
      <header className="flex items-center gap-3">
        <h2 className="font-semibold">The server fetches {plural(staging.files, "file")}</h2>
        <span className="text-text-2 flex-1 tabular-nums">{bytes(staging.done_bytes)} of {bytes(staging.total_bytes)}</span>
        <Button icon={X} onClick={onCancel}>Cancel</Button>
      </header>
      <div role="progressbar" aria-label="Fetched" aria-valuenow={Math.round(share * 100)} aria-valuemin={0} aria-valuemax={100} className="bg-surface-2 h-1.5 overflow-hidden rounded-full">
        <div className="bg-accent h-full transition-[width]" style={{ width: `${share * 100}%` }} />
      </div>
    </section>
  );
}
