import { ArrowDown, ArrowUp, Filter as FilterIcon } from "lucide-react";
import type { PointerEvent } from "react";
import { useState } from "react";

import { Button, cx, Field, Input, Popover, Select } from "@/ui";

import type { Filter, GridColumn, Operator, Sort } from "./source";
import { isNumber, isTime, shortType } from "./source";

const OPERATORS: Record<Operator, string> = {
  contains: "contains",
  starts_with: "starts with",
  eq: "is",
  ne: "is not",
  lt: "is less than",
  le: "is at most",
  gt: "is more than",
  ge: "is at least",
  is_null: "is NULL",
  not_null: "is not NULL",
};
const FOR_TEXT: Operator[] = ["contains", "starts_with", "eq", "ne", "is_null", "not_null"];
const FOR_ORDERED: Operator[] = ["eq", "ne", "lt", "le", "gt", "ge", "is_null", "not_null"];

/** A filter in words. */
export function filterWords(filter: Filter, columns: readonly GridColumn[]): string {
  const name = columns[filter.column]?.name ?? "";
  return `${name} ${OPERATORS[filter.op]}${filter.value === undefined ? "" : ` ${filter.value}`}`;
}

export interface HeaderCellProps {
  column: GridColumn;
  index: number;
  left: number;
  width: number;
  sort: Sort | undefined;
  filter: Filter | undefined;
  arrangeable: boolean;
  onSort: (add: boolean) => void;
  onFilter: (filter: Filter | null) => void;
  onWidth: (width: number) => void;
}

/** A column's name and type, its order, its filter and the edge by which it is made wider. */
export function HeaderCell(props: HeaderCellProps) {
  const { column, index, left, width, sort, filter, arrangeable, onSort, onFilter, onWidth } = props;
  const [open, setOpen] = useState(false);
  const right = isNumber(column.type);
  const Arrow = sort?.descending ? ArrowDown : ArrowUp;
  const drag = (event: PointerEvent<HTMLSpanElement>) => {
    if (!event.currentTarget.hasPointerCapture(event.pointerId)) return;
    onWidth(Math.max(48, Math.min(1200, width + event.movementX)));
  };
  return (
    <div
      role="columnheader"
      aria-colindex={index + 2}
      aria-sort={sort ? (sort.descending ? "descending" : "ascending") : undefined}
      className="group bg-surface-2 absolute top-0 bottom-0 flex items-stretch border-r border-b"
      style={{ left, width }}
    >
      <button
        type="button"
        disabled={!arrangeable}
        title={`${column.name} · ${column.type}`}
        onClick={(event) => onSort(event.shiftKey)}
        className={cx(
          "flex min-w-0 flex-1 flex-col justify-center px-2 outline-offset-[-2px]",
          right ? "items-end text-right" : "items-start text-left",
        )}
      >
        <span className="flex max-w-full items-center gap-1">
          <bdi className="truncate font-medium">{column.name}</bdi>
          {sort && <Arrow aria-hidden size={12} className="text-accent shrink-0" />}
        </span>
        <span className="text-text-3 max-w-full truncate text-xs leading-3">{shortType(column.type)}</span>
      </button>
      {arrangeable && (
        <Popover
          open={open}
          onOpenChange={setOpen}
          align="end"
          trigger={
            <button
              type="button"
              aria-label={`Filter by ${column.name}`}
              className={cx(
                "absolute top-1 flex size-5 items-center justify-center rounded-sm",
                right ? "left-1" : "right-1.5",
                filter
                  ? "text-accent bg-accent-soft"
                  : "text-text-3 bg-surface-2 opacity-0 group-hover:opacity-100 focus-visible:opacity-100",
              )}
            >
              <FilterIcon aria-hidden size={12} />
            </button>
          }
        >
          <FilterForm
            column={column}
            index={index}
            filter={filter}
            onFilter={(next) => {
              setOpen(false);
              onFilter(next);
            }}
          />
        </Popover>
      )}
      <span
        aria-hidden
        onPointerDown={(event) => event.currentTarget.setPointerCapture(event.pointerId)}
        onPointerMove={drag}
        className="hover:bg-accent absolute top-0 -right-1 bottom-0 z-10 w-2 cursor-col-resize touch-none opacity-50"
      />
    </div>
  );
}

function FilterForm(props: {
  column: GridColumn;
  index: number;
  filter: Filter | undefined;
  onFilter: (filter: Filter | null) => void;
}) {
  const { column, index, filter, onFilter } = props;
  const ordered = isNumber(column.type) || isTime(column.type);
  const operators = ordered ? FOR_ORDERED : FOR_TEXT;
  const [op, setOp] = useState<Operator>(filter?.op ?? operators[0] ?? "eq");
  const [value, setValue] = useState(filter?.value ?? "");
  const valueless = op === "is_null" || op === "not_null";
  return (
    <form
      className="flex flex-col gap-2"
      onSubmit={(event) => {
        event.preventDefault();
        onFilter({ column: index, op, value: valueless ? undefined : value });
      }}
    >
      <Field label={<bdi>{column.name}</bdi>}>
        <Select
          value={op}
          onChange={(next) => setOp(next as Operator)}
          options={operators.map((one) => ({ value: one, label: OPERATORS[one] }))}
        />
      </Field>
      {!valueless && (
        <Input
          autoFocus
          aria-label="Value"
          placeholder={isTime(column.type) ? "2026-01-31" : "Value"}
          value={value}
          onChange={(event) => setValue(event.target.value)}
        />
      )}
      <div className="flex justify-end gap-2">
        {filter && (
          <Button size="sm" onClick={() => onFilter(null)}>
            Remove
          </Button>
        )}
        <Button size="sm" variant="primary" type="submit">
          Filter
        </Button>
      </div>
    </form>
  );
}
