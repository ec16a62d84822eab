// What the Query page asks of the API.

import { address, api } from "@/api/client";
import type { ChartSpec } from "@/chart";
import type { GridColumn } from "@/grid";

export interface StatementView {
  id: string;
  state: "QUEUED" | "PLANNING" | "RUNNING" | "FINISHED" | "FAILED" | "CANCELED";
  error: { code: string; message: string; hint: string | null; position: { line: number; column: number } | null } | null;
  update_type: string | null;
  update_count: number | null;
  columns: GridColumn[] | null;
  stats: Partial<Record<"elapsed_seconds" | "queued_seconds" | "cpu_seconds" | "peak_memory_bytes" | "scanned_bytes" | "scanned_rows" | "result_rows" | "result_bytes" | "progress", number | null>>;
}

export interface Submission {
  sql: string;
  dialect: string;
  schema: string | null;
  role: string | null;
}

export interface PlanNode {
  kind: string;
  label: string;
  detail?: string | null;
  children: PlanNode[];
}

export interface PlanView {
  text: string;
  engine: string | null;
  nodes: PlanNode | null;
  scans: {
    /** Null behind a view: its tables are the view owner's business. */
    table: string | null;
    through_view?: boolean;
    snapshot: number | string | null;
    columns: string[];
    row_filter: boolean;
    masked: string[];
    enforcement: string;
  }[];
}

export interface SavedQuery {
  id: string;
  name: string;
  sql: string;
  dialect: string;
  schema: string | null;
  description: string;
  chart: ChartSpec | null;
  share: string | null;
  owner: string;
  mine: boolean;
  version: number;
  created_ms: number;
  updated_ms: number;
}

export type SavedDraft = Pick<SavedQuery, "name" | "sql" | "dialect" | "schema" | "description" | "chart" | "share">;

export interface HistoryRow {
  id: string;
  state: string;
  principal_name: string;
  role: string | null;
  dialect: string;
  schema_name: string | null;
  text: string;
  sql?: string | null;
  update_type: string | null;
  engine: string | null;
  error_code: string | null;
  error_message: string | null;
  created_ms: number;
  finished_ms: number | null;
  cpu_seconds: number;
  scanned_bytes: number;
  result_rows: number;
}

export interface Completion {
  label: string;
  apply?: string | null;
  kind: string;
  detail?: string | null;
  info?: string | null;
}

export interface Completions {
  from: number;
  to: number;
  incomplete: boolean;
  items: Completion[];
}

const V1 = "/api/v1";
const JSON_BODY = { "content-type": "application/json" };

async function send<T>(method: string, path: string, body?: unknown, init: RequestInit = {}): Promise<T> {
  const answer = await api.raw(`${V1}${path}`, {
    method,
    ...init,
    headers: { ...JSON_BODY, ...init.headers },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  return (answer.status === 204 ? undefined : await answer.json()) as T;
}

export const calls = {
  submit: (body: Submission) => send<StatementView>("POST", "/statements", { ...body, source: "query" }),
  status: (id: string, wait: number) => send<StatementView>("GET", address("/statements/{id}", { id }, { wait })),
  cancel: (id: string) => send<undefined>("DELETE", address("/statements/{id}", { id })),
  history: (query: Record<string, unknown>, signal: AbortSignal) =>
    send<HistoryRow[]>("GET", address("/statements", {}, query), undefined, { signal }),
  plan: (body: Submission, signal: AbortSignal) => send<PlanView>("POST", "/plan", body, { signal }),
  format: (sql: string, dialect: string) =>
    send<{ sql: string; changed: boolean; notes: string[] }>("POST", "/sql/format", { sql, dialect }),
  complete: (body: { sql: string; position: number; dialect: string; schema: string | null; role: string | null }, signal: AbortSignal) =>
    send<Completions>("POST", "/completions", body, { signal }),
  schemas: (signal: AbortSignal) => send<unknown>("GET", "/schemas", undefined, { signal }),
  saved: (signal: AbortSignal) => send<SavedQuery[]>("GET", "/saved-queries", undefined, { signal }),
  savedOne: (id: string) => send<SavedQuery>("GET", address("/saved-queries/{id}", { id })),
  create: (draft: SavedDraft) => send<SavedQuery>("POST", "/saved-queries", draft),
  update: (id: string, version: number, draft: SavedDraft) =>
    send<SavedQuery>("PUT", address("/saved-queries/{id}", { id }), draft, { headers: { "if-match": `"${version}"` } }),
  remove: (id: string) => send<undefined>("DELETE", address("/saved-queries/{id}", { id })),
};
