import { tableFromIPC } from "apache-arrow";

import { api } from "@/api/client";
import { address } from "@/api/client";

import type { GridColumn, GridSource } from "./source";
import { viewQuery } from "./source";

const CUT = 400;

/** The stored result of a statement as a grid's source. */
export function statementSource(id: string, columns: readonly GridColumn[], rows: number | null): GridSource {
  const path = `/api/v1/statements/${encodeURIComponent(id)}`;
  return {
    key: id,
    columns,
    rows,
    window: async (offset, limit, view, signal) => {
      const query = { offset, limit, cut: CUT, format: "arrow", ...viewQuery(view) };
      const answer = await api.raw(address(`${path}/rows`, {}, query), { signal });
      const table = tableFromIPC(new Uint8Array(await answer.arrayBuffer()));
      return {
        table,
        rows: Number(answer.headers.get("x-headwater-rows") ?? table.numRows),
        final: answer.headers.get("x-headwater-final") !== "false",
      };
    },
    cell: async (row, column, view) => {
      const answer = await api.raw(address(`${path}/cell`, {}, { row, column, ...viewQuery(view) }));
      return ((await answer.json()) as { value: unknown }).value;
    },
  };
}
