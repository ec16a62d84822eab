// Which cells are selected, and their text for the clipboard.

import type { Table } from "apache-arrow";

import type { GridColumn } from "./source";
import { cellText } from "./values";

export interface Cell {
  row: number;
  column: number;
}

/** From where the selection was begun to where it was drawn. */
export interface Selection {
  anchor: Cell;
  focus: Cell;
}

export interface Range {
  top: number;
  bottom: number;
  left: number;
  right: number;
}

/** The selected rectangle. */
export function range({ anchor, focus }: Selection): Range {
  return {
    top: Math.min(anchor.row, focus.row),
    bottom: Math.max(anchor.row, focus.row),
    left: Math.min(anchor.column, focus.column),
    right: Math.max(anchor.column, focus.column),
  };
}

export type CopyForm = "text" | "headers" | "json";

/** The rows' cells as spreadsheets take them, or as JSON. */
export function copied(tables: readonly Table[], area: Range, columns: readonly GridColumn[], form: CopyForm): string {
  const names = columns.slice(area.left, area.right + 1).map((column) => column.name);
  const rows: (string | null)[][] = [];
  for (const table of tables) {
    for (let index = 0; index < table.numRows && rows.length <= area.bottom - area.top; index += 1) {
      const row: (string | null)[] = [];
      for (let column = area.left; column <= area.right; column += 1) {
        const vector = table.getChildAt(column);
        row.push(vector ? cellText(vector, index) : null);
      }
      rows.push(row);
    }
  }
  if (form === "json") {
    return JSON.stringify(rows.map((row) => Object.fromEntries(names.map((name, at) => [name, row[at] ?? null]))), null, 2);
  }
  const single = rows.length === 1 && names.length === 1 && form === "text";
  if (single) return rows[0]?.[0] ?? "";
  const lines = rows.map((row) => row.map(field).join("\t"));
  if (form === "headers") lines.unshift(names.map(field).join("\t"));
  return lines.join("\n");
}

function field(text: string | null): string {
  if (text === null) return "";
  return /[\t\n\r"]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
