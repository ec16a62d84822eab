// What the Query page asks of the API.

import type { components } from "@/api/client";
import { api } from "@/api/client";

type Schemas = components["schemas"];
export type Dialect = Schemas["Dialect"];
export type Engine = Schemas["EngineChoice"];
export type EngineView = Schemas["EngineView"];
export type StatementView = Schemas["StatementView"];
export type PlanNode = Schemas["PlanNode"];
export type PlanView = Schemas["PlanView"];
export type SavedQuery = Schemas["SavedQueryView"];
export type SavedDraft = Schemas["SavedQueryBody"];
export type HistoryRow = Schemas["StatementEntry"];

/** A statement as the page has it, before it is asked for its plan or run. */
export interface Submission {
  sql: string;
  dialect: Dialect;
  engine: Engine;
  schema: string | null;
  role: string | null;
}

export const DIALECTS: { value: Dialect; label: string }[] = [
  { value: "trino", label: "Trino SQL" },
  { value: "spark", label: "Spark SQL" },
  { value: "duckdb", label: "DuckDB SQL" },
];

/** A dialect of this name; Trino for any other. */
export function dialectOf(name: string | undefined): Dialect {
  return DIALECTS.find((each) => each.value === name)?.value ?? "trino";
}

const SAVED = "/api/v1/saved-queries/{query_id}";

export const calls = {
  submit: (body: Submission) => api.post("/api/v1/statements", { body: { ...body, source: "query" } }),
  status: (id: string, wait: number) =>
    api.get("/api/v1/statements/{statement_id}", { path: { statement_id: id }, query: { wait } }),
  cancel: (id: string) => api.del("/api/v1/statements/{statement_id}", { path: { statement_id: id } }),
  history: (query: { limit: number; text?: string; before_ms?: number }, signal: AbortSignal) =>
    api.get("/api/v1/statements", { query, signal }),
  plan: (body: Submission, signal: AbortSignal) => api.post("/api/v1/plan", { body, signal }),
  format: (sql: string, dialect: Dialect) => api.post("/api/v1/sql/format", { body: { sql, dialect } }),
  complete: (body: Omit<Submission, "engine"> & { position: number }, signal: AbortSignal) =>
    api.post("/api/v1/completions", { body, signal }),
  engines: (signal: AbortSignal) => api.get("/api/v1/engines", { signal }),
  schemas: (signal: AbortSignal) => api.get("/api/v1/schemas", { signal }),
  saved: (signal: AbortSignal) => api.get("/api/v1/saved-queries", { signal }),
  savedOne: (id: string) => api.get(SAVED, { path: { query_id: id } }),
  create: (draft: SavedDraft) => api.post("/api/v1/saved-queries", { body: draft }),
  update: (id: string, version: number, draft: SavedDraft) =>
    api.put(SAVED, { path: { query_id: id }, body: draft, headers: { "if-match": `"${version}"` } }),
  remove: (id: string) => api.del(SAVED, { path: { query_id: id } }),
};
