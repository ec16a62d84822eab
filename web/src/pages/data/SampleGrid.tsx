import { useVirtualizer } from "@tanstack/react-virtual";
import { type ReactNode, useRef } from "react";

import { cx } from "@/ui";

const ROW = 26;
const HEADER = 40;
const WIDTH = 148;
// Names of Arrow and of SQL: samples come with the one, files with the other.
const NUMBERS = /^(u?int\d+|integer|(big|small|tiny)int|float|double|real|halffloat|decimal)/;

interface SampleGridProps {
  columns: readonly Record<string, string>[];
  rows: readonly (readonly unknown[])[];
  label: string;
  /** What stands above the type, in place of the name. */
  header?: (index: number) => ReactNode;
}

/** A few rows of any number of columns: columns out of sight are not drawn. */
export function SampleGrid({ columns, rows, label, header }: SampleGridProps): ReactNode {
  const holder = useRef<HTMLDivElement>(null);
  const across = useVirtualizer({
    count: columns.length,
    horizontal: true,
    getScrollElement: () => holder.current,
    estimateSize: (index) => widthOf(columns[index]?.name ?? "", rows, index),
    overscan: 6,
  });
  const down = useVirtualizer({ count: rows.length, getScrollElement: () => holder.current, estimateSize: () => ROW, overscan: 10, scrollMargin: HEADER });
  const seen = across.getVirtualItems();
  return (
    <div ref={holder} role="grid" aria-label={label} aria-rowcount={rows.length + 1} aria-colcount={columns.length} tabIndex={0} className="min-h-0 flex-1 overflow-auto border-t outline-offset-[-2px]">
      <div className="relative" style={{ width: across.getTotalSize(), height: down.getTotalSize() + HEADER }}>
        <div role="row" aria-rowindex={1} className="bg-surface sticky top-0 z-10 border-b" style={{ height: HEADER, width: across.getTotalSize() }}>
          {seen.map((cell) => {
            const column = columns[cell.index];
            if (!column) return null;
            return (
              <div key={cell.key} role="columnheader" aria-colindex={cell.index + 1} className={cx("absolute top-0 flex h-full flex-col justify-center border-r px-2", NUMBERS.test(column.type ?? "") && "items-end")}
                style={{ width: cell.size, left: cell.start }}>
                {header ? header(cell.index) : <bdi className="max-w-full truncate font-medium" title={column.name}>{column.name}</bdi>}
                {!header && <span className="text-text-3 max-w-full truncate text-xs">{column.type}</span>}
              </div>
            );
          })}
        </div>
        {down.getVirtualItems().map((line) => (
          <div key={line.key} role="row" aria-rowindex={line.index + 2} className="hover:bg-hover absolute left-0 border-b" style={{ height: ROW, top: line.start, width: across.getTotalSize() }}>
            {seen.map((cell) => {
              const value = rows[line.index]?.[cell.index];
              const number = NUMBERS.test(columns[cell.index]?.type ?? "");
              const text = shown(value);
              return (
                <div key={cell.key} role="gridcell" aria-colindex={cell.index + 1} title={text} className={cx("absolute top-0 truncate border-r px-2 leading-[26px]", number ? "num" : "", value == null && "text-text-3 italic")}
                  style={{ width: cell.size, left: cell.start, height: ROW }}>
                  <bdi>{text}</bdi>
                </div>
              );
            })}
          </div>
        ))}
      </div>
    </div>
  );
}

function shown(value: unknown): string {
  if (value === null || value === undefined) return "null";
  if (typeof value === "string") return value;
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function widthOf(name: string, rows: readonly (readonly unknown[])[], index: number): number {
  let longest = name.length + 1;
  for (const row of rows.slice(0, 20)) longest = Math.max(longest, Math.min(shown(row[index]).length, 40));
  return Math.max(72, Math.min(WIDTH * 2, longest * 7.8 + 20));
}
