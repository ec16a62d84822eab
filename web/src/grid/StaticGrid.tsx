import type { Table } from "apache-arrow";
import { useMemo } from "react";

import { ResultGrid } from "./ResultGrid";
import type { GridColumn, GridSource } from "./source";

let numbers = 0;

/** A table that is here already, such as a sample: drawn like every result, without sort and filter. */
export function StaticGrid(props: { table: Table; columns?: readonly GridColumn[]; label?: string }) {
  const { table, columns, label } = props;
  const source = useMemo<GridSource>(() => {
    numbers += 1;
    return {
      key: `static-${numbers}`,
      columns: columns ?? table.schema.fields.map((field) => ({ name: field.name, type: typeName(String(field.type)) })),
      rows: table.numRows,
      arrangeable: false,
      window: (offset, limit) =>
        Promise.resolve({ table: table.slice(offset, offset + limit), rows: table.numRows, final: true }),
    };
  }, [table, columns]);
  return <ResultGrid source={source} label={label} />;
}

/** apache-arrow writes Int64 and Utf8 where the API writes int64 and string. */
function typeName(name: string): string {
  return name.toLowerCase().replace("utf8", "string").replace("float64", "double").replace("float32", "float");
}
