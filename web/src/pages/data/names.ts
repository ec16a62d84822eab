/** Names of tables as the API's paths and SQL write them, and as addresses of pages. */

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;

/** `"schema"."table"`, for paths of the API. */
export const tablePath = (schema: string, table: string): string => `${quoted(schema)}.${quoted(table)}`;

const PLAIN = /^[a-z_][a-z0-9_]*$/;

/** A name in Trino's SQL: in quotes only where it needs them. */
export const sqlName = (name: string): string => (PLAIN.test(name) ? name : quoted(name));

/** `schema.table` in Trino's SQL. */
export const sqlTable = (schema: string, table: string): string => `${sqlName(schema)}.${sqlName(table)}`;

/** The address of a schema's or a table's page. */
export const pageOf = (schema: string, table?: string | null): string =>
  `/data/${encodeURIComponent(schema)}${table ? `/${encodeURIComponent(table)}` : ""}`;

/** The tables that people look at first. */
export const firstRows = (schema: string, table: string): string =>
  `SELECT *\nFROM ${sqlTable(schema, table)}\nLIMIT 100`;
