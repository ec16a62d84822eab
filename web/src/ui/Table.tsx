import { useVirtualizer } from "@tanstack/react-virtual";
import { ArrowDown, ArrowUp } from "lucide-react";
import type { KeyboardEvent, ReactNode } from "react";
import { useMemo, useRef, useState } from "react";

import { cx } from "./classes";
import { Skeleton } from "./Feedback";

export interface TableColumn<Row> {
  key: string;
  header: ReactNode;
  cell: (row: Row) => ReactNode;
  align?: "left" | "right";
  /** CSS width, such as "8rem" or "30%"; the rest is shared by those without. */
  width?: string;
  /** By what the column sorts; without it, it does not. */
  sort?: (row: Row) => string | number | null | undefined;
}

export interface TableProps<Row> {
  /** What the rows are, for screen readers. */
  label: string;
  columns: readonly TableColumn<Row>[];
  rows: readonly Row[] | undefined;
  rowKey: (row: Row) => string;
  onRow?: (row: Row) => void;
  loading?: boolean;
  empty?: ReactNode;
  selectedKey?: string | null;
  /** Height of the scroller where the rows are many. */
  maxHeight?: string;
}

const ROW = 29;
const MANY = 200;

/** Rows of things; sortable by its headers, walkable by arrow keys, virtual when there are many. */
export function Table<Row>(props: TableProps<Row>) {
  const { label, columns, rowKey, onRow, loading, empty, selectedKey, maxHeight } = props;
  const [order, setOrder] = useState<{ key: string; down: boolean } | null>(null);
  const rows = useMemo(() => sorted(props.rows ?? [], columns, order), [props.rows, columns, order]);
  const scroller = useRef<HTMLDivElement>(null);
  const virtual = rows.length > MANY;
  const window = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW,
    overscan: 20,
    enabled: virtual,
  });
  const seen = virtual ? window.getVirtualItems() : rows.map((_, index) => ({ index }));
  const first = virtual ? (window.getVirtualItems()[0]?.start ?? 0) : 0;
  const rest = virtual ? window.getTotalSize() - (window.getVirtualItems().at(-1)?.end ?? 0) : 0;
  if (loading && rows.length === 0) {
    return (
      <div className="p-3">
        <Skeleton lines={6} className="h-5" />
      </div>
    );
  }
  if (rows.length === 0 && empty) return <>{empty}</>;
  return (
    <div
      ref={scroller}
      className="relative min-h-0 min-w-0 overflow-auto"
      style={{ maxHeight: maxHeight ?? (virtual ? "70vh" : undefined) }}
    >
      <table aria-label={label} aria-rowcount={rows.length + 1} className="w-full border-separate border-spacing-0">
        <thead>
          <tr>
            {columns.map((column) => (
              <Header
                key={column.key}
                column={column}
                down={order?.key === column.key ? order.down : null}
                onSort={() =>
                  setOrder((now) =>
                    now?.key !== column.key
                      ? { key: column.key, down: false }
                      : now.down
                        ? null
                        : { key: column.key, down: true },
                  )
                }
              />
            ))}
          </tr>
        </thead>
        <tbody>
          {first > 0 && (
            <tr aria-hidden style={{ height: first }}>
              <td colSpan={columns.length} />
            </tr>
          )}
          {seen.map(({ index }) => {
            const row = rows[index];
            if (row === undefined) return null;
            const key = rowKey(row);
            return (
              <tr
                key={key}
                aria-rowindex={index + 2}
                aria-selected={selectedKey === undefined ? undefined : key === selectedKey}
                tabIndex={onRow ? 0 : undefined}
                onClick={onRow && (() => onRow(row))}
                onKeyDown={onRow && ((event) => walk(event, () => onRow(row)))}
                className={cx(
                  "outline-offset-[-2px]",
                  onRow && "hover:bg-hover",
                  key === selectedKey && "bg-selected",
                )}
              >
                {columns.map((column) => (
                  <td
                    key={column.key}
                    className={cx(
                      "h-7 max-w-0 truncate border-b px-3",
                      column.align === "right" && "num",
                    )}
                  >
                    {column.cell(row)}
                  </td>
                ))}
              </tr>
            );
          })}
          {rest > 0 && (
            <tr aria-hidden style={{ height: rest }}>
              <td colSpan={columns.length} />
            </tr>
          )}
        </tbody>
      </table>
    </div>
  );
}

function Header<Row>(props: { column: TableColumn<Row>; down: boolean | null; onSort: () => void }) {
  const { column, down, onSort } = props;
  const right = column.align === "right";
  const Arrow = down ? ArrowDown : ArrowUp;
  return (
    <th
      scope="col"
      aria-sort={down === null ? undefined : down ? "descending" : "ascending"}
      style={{ width: column.width }}
      className={cx(
        "bg-surface text-text-2 sticky top-0 z-10 h-7 border-b px-3 text-sm font-medium whitespace-nowrap",
        right ? "text-right" : "text-left",
      )}
    >
      {column.sort ? (
        <button
          type="button"
          onClick={onSort}
          className={cx("hover:text-text inline-flex items-center gap-1", right && "flex-row-reverse")}
        >
          {column.header}
          <Arrow aria-hidden size={12} className={down === null ? "invisible" : ""} />
        </button>
      ) : (
        column.header
      )}
    </th>
  );
}

function walk(event: KeyboardEvent<HTMLTableRowElement>, open: () => void) {
  if (event.target !== event.currentTarget) return;
  const row = event.currentTarget;
  const step = { ArrowDown: row.nextElementSibling, ArrowUp: row.previousElementSibling }[event.key];
  if (step instanceof HTMLElement) step.focus();
  else if (event.key === "Enter") open();
  else return;
  event.preventDefault();
}

function sorted<Row>(
  rows: readonly Row[],
  columns: readonly TableColumn<Row>[],
  order: { key: string; down: boolean } | null,
): readonly Row[] {
  const by = columns.find((column) => column.key === order?.key)?.sort;
  if (!order || !by) return rows;
  const direction = order.down ? -1 : 1;
  return [...rows].sort((one, other) => {
    const [a, b] = [by(one), by(other)];
    if (a == null || b == null) return a == null ? (b == null ? 0 : 1) : -1;
    if (typeof a === "number" && typeof b === "number") return direction * (a - b);
    return direction * String(a).localeCompare(String(b), undefined, { numeric: true });
  });
}
