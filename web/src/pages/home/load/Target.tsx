import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";

import { api, type components } from "@/api/client";
import { Field, Input, Select } from "@/ui";

/** Where the rows go; a `schema` of null is one that is made first. */
export interface Targeted {
  schema: string | null;
  newSchema: string;
  table: string;
  mode: "create" | "append" | "replace";
}

interface TargetProps {
  target: Targeted;
  onChange: (target: Targeted) => void;
  welcome: components["schemas"]["Onboarding"];
}

const NEW = "\u0001new";

const MODES = [
  { value: "create", label: "Make a new table" },
  { value: "append", label: "Add to the table" },
  { value: "replace", label: "Replace the table's rows" },
];

/** Chooses the schema and table, and what happens to rows that are there. */
export function Target({ target, onChange, welcome }: TargetProps): ReactNode {
  const name = target.table.trim();
  const there = useQuery({
    queryKey: ["home", "exists", target.schema, name],
    queryFn: ({ signal }) => api.get("/api/v1/tree", { query: { schema: target.schema ?? "", q: name, limit: 200 }, signal }),
    enabled: target.schema !== null && name !== "",
    retry: false,
  });
  const exists = target.schema !== null && (there.data?.items ?? []).some((each) => each.name.toLowerCase() === name.toLowerCase());
  const schemas = [...welcome.schemas];
  // A table that rows are added to may lie where no new one can be made.
  if (target.schema && !schemas.includes(target.schema)) schemas.push(target.schema);
  const put = (part: Partial<Targeted>) => onChange({ ...target, ...part });
  return (
    <>
      <Field label="Schema" hint={schemas.length === 0 && !welcome.may_create_schema ? "You may not make tables anywhere: ask for CREATE TABLE on a schema." : undefined}>
        <Select value={target.schema ?? NEW} onChange={(value) => put({ schema: value === NEW ? null : value })}
          options={[...schemas.map((each) => ({ value: each, label: <bdi>{each}</bdi> })), ...(welcome.may_create_schema ? [{ value: NEW, label: "A new schema…" }] : [])]} />
      </Field>
      {target.schema === null && (
        <Field label="Name of the new schema">
          <Input value={target.newSchema} maxLength={255} onChange={(event) => put({ newSchema: event.target.value })} />
        </Field>
      )}
      <Field label="Table" error={exists && target.mode === "create" ? "There is a table of this name: choose another name, or add to it." : !exists && there.data && target.mode !== "create" ? "There is no such table yet." : undefined}>
        <Input value={target.table} maxLength={255} onChange={(event) => put({ table: event.target.value })} />
      </Field>
      <Field label="What to do">
        <Select value={target.mode} onChange={(value) => put({ mode: value as Targeted["mode"] })} options={MODES} />
      </Field>
    </>
  );
}
