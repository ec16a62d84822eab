// Where a grid's rows come from: windows of a result that the server keeps.

import type { Table } from "apache-arrow";

export interface GridColumn {
  name: string;
  /** The Arrow type, as the API writes it: int64, decimal128(15, 2), timestamp[us]. */
  type: string;
}

export interface Sort {
  column: number;
  descending: boolean;
}

export type Operator =
  | "eq"
  | "ne"
  | "lt"
  | "le"
  | "gt"
  | "ge"
  | "contains"
  | "starts_with"
  | "is_null"
  | "not_null";

export interface Filter {
  column: number;
  op: Operator;
  value?: string;
}

/** How the rows are asked for: both are applied by the server, over the whole result. */
export interface View {
  sort: readonly Sort[];
  filters: readonly Filter[];
}

export interface Window {
  table: Table;
  /** Rows of the view, so far. */
  rows: number;
  /** False while more rows may still come. */
  final: boolean;
}

export interface GridSource {
  /** Changes when the rows are others. */
  key: string;
  columns: readonly GridColumn[];
  /** Rows that are known to be there; null when unknown. */
  rows: number | null;
  window: (offset: number, limit: number, view: View, signal: AbortSignal) => Promise<Window>;
  /** The whole value of a cell whose text came cut. */
  cell?: (row: number, column: number, view: View) => Promise<unknown>;
  /** False: the rows are shown in their order, unfiltered. */
  arrangeable?: boolean;
}

export const PLAIN: View = { sort: [], filters: [] };

/** The view as the API's query parameters. */
export function viewQuery(view: View): { sort?: string; filter?: string } {
  const sort = view.sort.map((one) => `${one.column}:${one.descending ? "desc" : "asc"}`).join(",");
  return {
    sort: sort || undefined,
    filter: view.filters.length > 0 ? JSON.stringify(view.filters) : undefined,
  };
}

/** True for types whose values are numbers, which stand right-aligned. */
export function isNumber(type: string): boolean {
  return /^(u?int\d+|float|double|halffloat|decimal)/.test(type);
}

/** True for dates and times. */
export function isTime(type: string): boolean {
  return /^(timestamp|date|time)/.test(type);
}

/** A type in few characters, for the header. */
export function shortType(type: string): string {
  return type
    .replace(/^(large_)?(string|utf8).*/, "text")
    .replace(/^int(32|64)$/, (_, bits) => (bits === "64" ? "bigint" : "int"))
    .replace(/^decimal\d*\((\d+), ?(-?\d+)\)$/, "decimal($1,$2)")
    .replace(/^timestamp\[\w+, tz=.*\]$/, "timestamptz")
    .replace(/^timestamp\[\w+\]$/, "timestamp")
    .replace(/^date(32|64).*/, "date")
    .replace(/^(large_)?binary.*/, "binary")
    .replace(/^(large_)?list<.*/, "array")
    .replace(/^struct<.*/, "row")
    .replace(/^map<.*/, "map");
}
