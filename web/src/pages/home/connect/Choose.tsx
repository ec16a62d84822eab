import { useMutation } from "@tanstack/react-query";
import { Database } from "lucide-react";
import { type ReactNode, useState } from "react";

import { api } from "@/api/client";
import { Button, Card, Checkbox, EmptyState, ErrorBox, Field, Input, Textarea } from "@/ui";
import { plural } from "@/ui/format";

import { type Address, bodyOf, type Found, usualSchema } from "./address";

const keyOf = (namespace: readonly string[]): string => namespace.join("\u001f");

/** What of the catalog is shown here, under which names, and where its files may be read. */
export function Choose({ address, found, onDone }: { address: Address; found: Found; onDone: (schema: string) => void }): ReactNode {
  const [name, setName] = useState(address.name);
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const [schemas, setSchemas] = useState<Readonly<Record<string, string>>>({});
  const [locations, setLocations] = useState(found.locations.join("\n"));
  const schemaOf = (namespace: readonly string[]) => schemas[keyOf(namespace)] ?? usualSchema(name, namespace);
  const shown = found.namespaces.filter((each) => chosen.has(keyOf(each)));
  const named = locations.split("\n").map((each) => each.trim()).filter(Boolean);
  const connect = useMutation({
    mutationFn: () => api.post("/api/v1/connections", {
      body: { ...bodyOf({ ...address, name }), locations: named, show: shown.map((each) => ({ namespace: [...each], schema: schemaOf(each) })) },
    }),
    onSuccess: (made) => onDone(made.schemas[0]?.schema ?? ""),
  });
  if (found.namespaces.length === 0) {
    return <Card><EmptyState icon={Database} title="It answers, and shows no namespaces">What its login may see over there decides what can be shown here.</EmptyState></Card>;
  }
  const toggle = (key: string, on: boolean) => setChosen((now) => {
    const next = new Set(now);
    if (on) next.add(key);
    else next.delete(key);
    return next;
  });
  return (
    <Card title="What to show">
      <div className="flex flex-col gap-4 p-3">
        <Field label="Name of the connection" hint="Lower-case letters, digits and _; its schemas are named after it" required className="max-w-sm">
          <Input value={name} required pattern="[a-z][a-z0-9_]*" placeholder="polaris" onChange={(event) => setName(event.target.value)} />
        </Field>
        <fieldset className="min-w-0">
          <legend className="text-text-2 mb-1 text-sm font-medium">Namespaces</legend>
          <ul className="max-h-80 overflow-auto rounded-md border">
            {found.namespaces.map((each) => {
              const key = keyOf(each);
              const on = chosen.has(key);
              return (
                <li key={key} className="flex min-h-8 items-center gap-3 border-b px-3 py-0.5 last:border-0">
                  <span className="min-w-0 flex-1 truncate"><Checkbox checked={on} onChange={(next) => toggle(key, next)} label={<bdi>{each.join(".")}</bdi>} /></span>
                  {on && <Input aria-label={`Schema for ${each.join(".")}`} className="w-64" value={schemaOf(each)} onChange={(event) => setSchemas((now) => ({ ...now, [key]: event.target.value }))} />}
                </li>
              );
            })}
          </ul>
        </fieldset>
        <Field
          label="Folders its tables may be read from"
          hint={found.refused_locations.length ? `Found, but of the server or the machine itself: ${found.refused_locations.join(", ")}` : "One a line, s3://bucket/prefix or /folder; those below are where some of its tables lie. Files elsewhere are refused."}
          required
        >
          <Textarea className="mono w-full" value={locations} onChange={(event) => setLocations(event.target.value)} />
        </Field>
        {connect.error && <ErrorBox error={connect.error} />}
        <div>
          <Button variant="primary" busy={connect.isPending} disabled={!name.trim() || shown.length === 0 || named.length === 0} onClick={() => connect.mutate()}>
            {shown.length ? `Connect ${plural(shown.length, "namespace")}` : "Connect"}
          </Button>
        </div>
      </div>
    </Card>
  );
}
