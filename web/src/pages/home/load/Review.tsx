import { keepPreviousData, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Upload } from "lucide-react";
import { type ReactNode, useEffect, useState } from "react";

import { api, type components } from "@/api/client";
import { SampleGrid } from "@/pages/data/SampleGrid";
import { Badge, Button, Card, ErrorBox, Select, Skeleton, Switch } from "@/ui";
import { count } from "@/ui/format";

import { type Choice, Columns } from "./Columns";
import { Outcome } from "./Outcome";
import type { Sent } from "./send";
import { SentFile } from "./Sending";
import { Target, type Targeted } from "./Target";

type Schemas = components["schemas"];
export type Preview = Schemas["PreviewView"];
export type Load = Schemas["LoadView"];

interface ReviewProps {
  uploads: readonly Sent[];
  welcome: Schemas["Onboarding"];
  wish: { schema?: string; table?: string; mode?: string };
  onAgain: () => void;
}

const SEPARATORS = [
  { value: ",", label: "Comma  ," },
  { value: ";", label: "Semicolon  ;" },
  { value: "\t", label: "Tab" },
  { value: "|", label: "Bar  |" },
];

const MODES = ["create", "append", "replace"] as const;

/** What was sent, as it looks; what becomes of its columns; where it goes. */
export function Review({ uploads, welcome, wish, onAgain }: ReviewProps): ReactNode {
  const client = useQueryClient();
  const first = uploads[0]?.id ?? "";
  const [separator, setSeparator] = useState<string | null>(null);
  const [header, setHeader] = useState<boolean | null>(null);
  const [choices, setChoices] = useState<ReadonlyMap<string, Choice>>(new Map());
  const [skip, setSkip] = useState(false);
  const [target, setTarget] = useState<Targeted>(() => ({
    schema: wish.schema ?? welcome.schemas.find((each) => each !== "sample") ?? (welcome.may_create_schema ? null : (welcome.schemas[0] ?? "")),
    newSchema: welcome.schemas.includes("uploads") ? "" : "uploads",
    table: wish.table ?? "",
    mode: MODES.find((each) => each === wish.mode) ?? "create",
  }));
  const [job, setJob] = useState<Load | null>(null);
  const types = Object.fromEntries([...choices].flatMap(([name, choice]) => (choice.type && !choice.out ? [[name, choice.type]] : [])));
  const preview = useQuery({
    queryKey: ["home", "preview", first, separator, header, types],
    queryFn: ({ signal }) => api.post("/api/v1/uploads/{upload_id}/preview", { path: { upload_id: first }, body: { separator, header, types }, signal }),
    placeholderData: keepPreviousData,
    staleTime: Infinity,
    retry: false,
  });
  const found = preview.data;
  useEffect(() => {
    if (found) setTarget((now) => (now.table ? now : { ...now, table: found.table }));
  }, [found]);
  const load = useMutation({
    mutationFn: async (leaveOut: boolean) => {
      const schema = target.schema ?? target.newSchema.trim();
      if (target.schema === null && !welcome.schemas.includes(schema)) {
        await api.post("/api/v1/schemas", { body: { name: schema } });
        void client.invalidateQueries({ queryKey: ["data", "schemas"] });
        setTarget((now) => ({ ...now, schema }));
      }
      const changed = [...choices.values()].some((choice) => choice.out || choice.type || choice.to !== undefined);
      const columns = changed
        ? (found?.columns ?? []).flatMap((column) => {
            const choice = choices.get(column.name);
            return choice?.out ? [] : [{ name: column.name, to: choice?.to?.trim() || null, type: choice?.type ?? null }];
          })
        : [];
      return api.post("/api/v1/loads", {
        body: {
          table: `${quoted(schema)}.${quoted(target.table.trim())}`,
          uploads: uploads.map((each) => each.id),
          mode: target.mode,
          on_error: leaveOut ? "skip" : "fail",
          columns,
          separator: found?.separator ?? null,
          header: found?.header ?? true,
          keep: true,
        },
      });
    },
    onSuccess: setJob,
  });
  const start = (leaveOut: boolean) => {
    setSkip(leaveOut);
    load.mutate(leaveOut);
  };
  if (job) {
    return <Outcome job={job} creates={target.mode === "create"} onBack={() => setJob(null)} onSkip={() => { setJob(null); start(true); }} onAgain={onAgain} />;
  }
  if (preview.error && !found) {
    return <ErrorBox error={preview.error} title="This file cannot be loaded" actions={<Button size="sm" onClick={onAgain}>Choose another</Button>} />;
  }
  if (!found) return <Card title="Looking at the file"><div className="p-3"><Skeleton lines={8} /></div></Card>;
  const kept = found.columns.filter((each) => !choices.get(each.name)?.out);
  const misfits = kept.reduce((sum, each) => sum + each.unfit, 0);
  const ready = kept.length > 0 && target.table.trim() !== "" && (target.schema !== null || target.newSchema.trim() !== "");
  return (
    <>
      <div className="flex flex-wrap items-center gap-3">
        {uploads.map((each, index) => <SentFile key={each.id} file={each.name ? each : { ...each, name: index === 0 ? found.name : each.id }} />)}
        {found.format === "csv" && (
          <>
            <span className="w-36"><Select label="Separator" value={found.separator ?? ","} onChange={(value) => { setSeparator(value); setChoices(new Map()); }}
              options={SEPARATORS.some((each) => each.value === found.separator) ? SEPARATORS : [...SEPARATORS, { value: found.separator ?? ",", label: found.separator ?? "," }]} /></span>
            <Switch checked={found.header ?? true} onChange={(on) => { setHeader(on); setChoices(new Map()); }} label="First line names the columns" />
          </>
        )}
        <span className="flex-1" />
        <Button variant="ghost" onClick={onAgain}>Choose another file</Button>
      </div>
      {preview.error && <ErrorBox error={preview.error} />}
      {found.faults.length > 0 && <Faults faults={found.faults} skip={skip} onSkip={setSkip} />}
      <div className="grid items-start gap-4 lg:grid-cols-[minmax(0,1fr)_20rem]">
        <Card title={`Columns of ${found.name}${found.files > 1 ? `, the first of ${count(found.files)} files` : ""}`} actions={<span className="text-text-3 text-sm">{found.whole ? "from all rows" : "as its first rows look"}</span>}>
          <Columns preview={found} choices={choices} onChange={(name, choice) => setChoices((now) => new Map(now).set(name, choice))} />
        </Card>
        <Card title="Where it goes">
          <div className="flex flex-col gap-3 p-3">
            <Target target={target} onChange={setTarget} welcome={welcome} />
            <Switch checked={skip} onChange={setSkip} label="Leave out rows that cannot be read" />
            {misfits > 0 && !skip && <p className="text-warn text-sm">Some values are not of the types chosen: the load stops at the first of them.</p>}
            {load.error && <ErrorBox error={load.error} />}
            <Button variant="primary" icon={Upload} disabled={!ready} busy={load.isPending} onClick={() => start(skip)}>Load</Button>
          </div>
        </Card>
      </div>
      <Card title="First rows" actions={<span className="text-text-3 text-sm tabular-nums">{count(found.rows.length)}</span>}>
        <div className="flex h-72 flex-col">
          <SampleGrid label="First rows of the file" columns={found.columns.map((each) => ({ name: each.name, type: each.type }))} rows={found.rows} />
        </div>
      </Card>
    </>
  );
}

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;

function Faults({ faults, skip, onSkip }: { faults: Preview["faults"]; skip: boolean; onSkip: (skip: boolean) => void }): ReactNode {
  return (
    <section aria-label="What is wrong in the file" className="bg-warn-soft flex items-start gap-3 rounded-md border border-warn/25 px-3 py-2.5">
      <div className="min-w-0 flex-1">
        <p className="font-semibold">Some lines cannot be read</p>
        <ul className="mt-1 flex max-h-32 flex-col gap-0.5 overflow-auto">
          {faults.map((fault, index) => <li key={index}>{fault.line != null && <Badge tone="warn">line {count(fault.line)}</Badge>} {fault.message}</li>)}
        </ul>
      </div>
      {skip ? <span className="text-text-2">They will be left out.</span> : <Button size="sm" onClick={() => onSkip(true)}>Leave them out</Button>}
    </section>
  );
}
