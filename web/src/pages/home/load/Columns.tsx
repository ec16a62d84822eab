import type { ReactNode } from "react";

import { Badge, Checkbox, Input, Select, Table, type TableColumn } from "@/ui";
import { plural } from "@/ui/format";

import type { Preview } from "./Review";

/** What becomes of a column of the file; `type` empty: what all rows turn out to be. */
export interface Choice {
  out?: boolean;
  to?: string;
  type?: string;
}

type Column = Preview["columns"][number];

const TYPES = ["varchar", "bigint", "integer", "double", "decimal(18, 2)", "boolean", "date", "timestamp(6)", "timestamp(6) with time zone", "uuid"];

interface ColumnsProps {
  preview: Preview;
  choices: ReadonlyMap<string, Choice>;
  onChange: (name: string, choice: Choice) => void;
}

/** The columns of a file: which are taken, what they are called and of what type they are. */
export function Columns({ preview, choices, onChange }: ColumnsProps): ReactNode {
  const place = new Map(preview.columns.map((each, index) => [each.name, index]));
  const change = (name: string, part: Choice) => onChange(name, { ...choices.get(name), ...part });
  const columns: TableColumn<Column>[] = [
    { key: "in", header: <span className="sr-only">Taken</span>, width: "3.5rem", cell: (row) => <Checkbox checked={!choices.get(row.name)?.out} onChange={(on) => change(row.name, { out: !on })} label={<span className="sr-only">Take {row.name}</span>} /> },
    {
      key: "name",
      header: "Name",
      width: "32%",
      cell: (row) => (
        <span className="block py-1"><Input aria-label={`Name of ${row.name}`} value={choices.get(row.name)?.to ?? row.name} maxLength={255} disabled={choices.get(row.name)?.out}
          onChange={(event) => change(row.name, { to: event.target.value === row.name ? undefined : event.target.value })} /></span>
      ),
    },
    {
      key: "type",
      header: "Type",
      width: "13rem",
      cell: (row) => (
        <Select label={`Type of ${row.name}`} value={choices.get(row.name)?.type ?? ""} disabled={choices.get(row.name)?.out} onChange={(type) => change(row.name, { type: type || undefined })}
          options={[{ value: "", label: `${row.inferred} (found)` }, ...TYPES.filter((each) => each !== row.inferred).map((each) => ({ value: each, label: each }))]} />
      ),
    },
    {
      key: "values",
      header: "Values",
      cell: (row) => {
        if (row.unfit > 0) return <Badge tone="warn" title={`Not ${row.type}: ${row.examples.join(", ")}`}>{plural(row.unfit, "value")} not {row.type}: {row.examples[0]}</Badge>;
        const values = preview.rows.slice(0, 4).map((each) => each[place.get(row.name) ?? 0] ?? "null").join(", ");
        return <bdi className="text-text-2" title={values}>{values}</bdi>;
      },
    },
  ];
  return <Table label="Columns of the file" columns={columns} rows={preview.columns} rowKey={(row) => row.name} maxHeight="26rem" />;
}
