import { useQuery, useQueryClient } from "@tanstack/react-query";
import { CircleCheck, LoaderCircle, Play, Table2, Undo2, Upload, X } from "lucide-react";
import { type ReactNode, useEffect, useState } from "react";

import { api } from "@/api/client";
import { firstRows, pageOf, tablePath } from "@/pages/data/names";
import { go } from "@/shell/navigation";
import { openQuery } from "@/shell/openQuery";
import { Badge, Button, ErrorBox, toast, toastError } from "@/ui";
import { count, duration, plural } from "@/ui/format";

import type { Load } from "./Review";

interface OutcomeProps {
  job: Load;
  /** The table is made by this load, and goes with it when it is undone. */
  creates: boolean;
  onBack: () => void;
  onSkip: () => void;
  onAgain: () => void;
}

/** How a load goes, and what can be done once it has ended. */
export function Outcome({ job, creates, onBack, onSkip, onAgain }: OutcomeProps): ReactNode {
  const client = useQueryClient();
  const [started] = useState(() => Date.now());
  const [now, setNow] = useState(() => Date.now());
  const status = useQuery({
    queryKey: ["home", "load", job.id],
    queryFn: ({ signal }) => api.get("/api/v1/loads/{load_id}", { path: { load_id: job.id }, query: { wait: 1 }, signal }),
    initialData: job,
    refetchInterval: (query) => (query.state.data?.state === "RUNNING" ? 300 : false),
  });
  const found = status.data;
  const running = found.state === "RUNNING";
  useEffect(() => {
    if (!running) {
      void client.invalidateQueries({ queryKey: ["data"] });
      void client.invalidateQueries({ queryKey: ["home", "onboarding"] });
      return;
    }
    const timer = setInterval(() => setNow(Date.now()), 250);
    return () => clearInterval(timer);
  }, [running, client]);
  const at = found.table.lastIndexOf(".");
  const [schema, table] = [found.table.slice(0, at), found.table.slice(at + 1)];
  if (running) {
    return (
      <section aria-label="Loading" className="bg-surface flex items-center gap-3 rounded-lg border p-4">
        <LoaderCircle aria-hidden size={18} className="text-accent animate-spin" />
        <div className="min-w-0 flex-1">
          <h2 className="font-semibold">Loading into <bdi>{found.table}</bdi></h2>
          <p className="text-text-2 tabular-nums">{found.stage.charAt(0).toUpperCase() + found.stage.slice(1)}, {duration(now - started)}</p>
        </div>
        <Button icon={X} onClick={() => void api.del("/api/v1/loads/{load_id}", { path: { load_id: job.id } }).catch(toastError)}>Cancel</Button>
      </section>
    );
  }
  if (found.state === "FAILED") {
    const readable = found.faults.length > 0 || found.error?.code === "INVALID_FILE";
    return (
      <section aria-label="The load failed" className="flex flex-col gap-3">
        <ErrorBox title="Nothing was loaded" error={{ code: found.error?.code, message: found.error?.message ?? "The load failed", hint: readable ? null : found.error?.hint }} />
        {found.faults.length > 1 && (
          <ul className="bg-surface flex max-h-72 flex-col gap-1 overflow-auto rounded-md border p-3">
            {found.faults.map((fault, index) => <li key={index}>{fault.line != null && <Badge tone="bad">line {count(fault.line)}</Badge>} {fault.message}</li>)}
          </ul>
        )}
        <div className="flex gap-2">
          <Button variant="primary" onClick={onBack}>Change the columns</Button>
          {readable && <Button onClick={onSkip}>Load without such rows</Button>}
          <Button variant="ghost" onClick={onAgain}>Choose another file</Button>
        </div>
      </section>
    );
  }
  const undo = async () => {
    await api.del("/api/v1/tables/{table}", { path: { table: tablePath(schema, table) } });
    await client.invalidateQueries({ queryKey: ["data"] });
    toast(`${table} was dropped again`);
    onAgain();
  };
  return (
    <section aria-label="Loaded" className="bg-surface flex flex-col gap-4 rounded-lg border p-5">
      <header className="flex items-center gap-3">
        <CircleCheck aria-hidden size={20} className="text-ok" />
        <div>
          <h2 className="text-lg font-semibold">{plural(found.rows, "row")} in <bdi>{found.table}</bdi></h2>
          <p className="text-text-2">{found.skipped > 0 ? `${plural(found.skipped, "row")} could not be read and ${found.skipped === 1 ? "was" : "were"} left out.` : "Every row was taken. It is an Iceberg table now."}</p>
        </div>
      </header>
      <div className="flex flex-wrap gap-2">
        <Button variant="primary" icon={Play} onClick={() => openQuery({ sql: firstRows(schema, table), title: table, run: true })}>Query it</Button>
        <Button icon={Table2} onClick={() => go(pageOf(schema, table))}>Open the table</Button>
        <Button icon={Upload} onClick={onAgain}>Load another file</Button>
        {creates && <Button variant="ghost" icon={Undo2} onClick={() => void undo().catch(toastError)}>Undo: drop the table</Button>}
      </div>
    </section>
  );
}
