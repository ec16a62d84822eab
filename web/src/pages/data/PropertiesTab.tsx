import type { ReactNode } from "react";

import { KeyValue, Section } from "@/ui";
import { bytes, count, dateTime } from "@/ui/format";

import type { Overview } from "./types";

/** Facts and settings of the table, as its metadata has them. */
export function PropertiesTab({ overview }: { overview: Overview }): ReactNode {
  const facts: [ReactNode, ReactNode][] = [
    ["Name", <bdi key="n" className="mono">{overview.schema}.{overview.name}</bdi>],
    ["Kind", overview.kind === "view" ? "view" : `Iceberg table, format version ${overview.format_version ?? "?"}`],
  ];
  if (overview.owner) facts.push(["Owner", <bdi key="o">{overview.owner}</bdi>]);
  if (overview.partitioning.length) facts.push(["Partitioned by", <span key="p" className="mono">{overview.partitioning.join(", ")}</span>]);
  if (overview.updated_ms != null) facts.push(["Last change", dateTime(overview.updated_ms)]);
  if (overview.rows != null) facts.push(["Rows", count(overview.rows)]);
  if (overview.bytes != null) facts.push(["Size", bytes(overview.bytes)]);
  if (overview.location) facts.push(["Location", <span key="l" className="mono break-all">{overview.location}</span>]);
  if (overview.snapshot_id) facts.push(["Snapshot", <span key="s" className="mono">{overview.snapshot_id}</span>]);
  const properties = Object.entries(overview.properties).sort(([one], [other]) => one.localeCompare(other));
  return (
    <div className="flex min-h-0 flex-1 flex-col gap-6 overflow-auto p-4">
      <Section title="Facts"><KeyValue items={facts} /></Section>
      <Section title="Properties">
        {properties.length ? <KeyValue items={properties.map(([key, value]) => [<span key={key} className="mono">{key}</span>, <bdi key={key} className="mono break-all">{value}</bdi>])} /> : <p className="text-text-2">None are set.</p>}
      </Section>
    </div>
  );
}
