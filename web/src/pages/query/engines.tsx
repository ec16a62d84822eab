// Which engine runs a statement: what one may choose, and what the answer says.

import { useQuery } from "@tanstack/react-query";

import { Select } from "@/ui";

import type { Engine, EngineView, StatementView } from "./calls";
import { calls } from "./calls";
import type { QueryTab } from "./tabs";

const AUTO = { value: "auto", label: "Automatic" };
const NAMES: Record<string, string> = { duckdb: "System engine", sail: "Sail", spark: "Spark" };

/** What a tab asks for: an engine that its dialect does not know counts as automatic. */
export function engineOf(tab: QueryTab): Engine {
  const wanted = tab.engine ?? "auto";
  return tab.dialect === "spark" || wanted === "duckdb" ? wanted : "auto";
}

/** The engines that statements of a tab may ask for. */
export function EngineSelect({ tab, onChange }: { tab: QueryTab; onChange: (engine: Engine) => void }) {
  const engines = useQuery({ queryKey: ["engines"], queryFn: ({ signal }) => calls.engines(signal), staleTime: 60_000 });
  const known = (engines.data ?? []).filter((engine) => engine.installed && engine.dialects.includes(tab.dialect));
  const options = [AUTO, ...known.map((engine: EngineView) => ({ value: engine.name, label: engine.title }))];
  const value = engineOf(tab);
  // What was chosen stays to be seen, even where the server has it no more.
  if (!options.some((option) => option.value === value)) options.push({ value, label: NAMES[value] ?? value });
  return <Select size="sm" className="w-44" label="Engine" value={value} options={options} onChange={(engine) => onChange(engine as Engine)} />;
}

/** An engine with its release's number: "Spark 4.1". */
export function engineName(engine: string, release?: string | null): string {
  const number = release?.match(/^spark-(.+)$/)?.[1];
  return `${NAMES[engine] ?? engine}${number && engine === "spark" ? ` ${number}` : ""}`;
}

/** Who ran a statement, and why it was not the one that comes first. */
export function EngineFact({ view }: { view: StatementView }) {
  if (!view.engine) return null;
  const name = engineName(view.engine, view.release);
  if (!view.engine_reason) return <span title={view.release ?? "The engine that ran it"}>{name}</span>;
  return (
    <span title={`Because ${view.engine_reason}`} className="cursor-help underline decoration-dotted underline-offset-2">
      {name}, because …
    </span>
  );
}

/** What a running statement waits for. */
export function Starting({ view }: { view: StatementView | null | undefined }) {
  if (!view?.engine_starting || !view.engine) return null;
  return <span role="status">Starting {NAMES[view.engine] ?? view.engine}</span>;
}
