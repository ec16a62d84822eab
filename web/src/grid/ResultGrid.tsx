import type { Vector } from "apache-arrow";
import { X } from "lucide-react";
import type { KeyboardEvent, MouseEvent } from "react";
import { useEffect, useId, useMemo, useReducer, useRef, useState } from "react";

import { Button, ContextMenu, cx, Dialog, ErrorBox, type MenuItem, Skeleton, toast, toastError } from "@/ui";
import { CodeBlock } from "@/ui";
import { count } from "@/ui/format";

import { filterWords, HeaderCell } from "./Header";
import { HEADER, ROW, useScroll } from "./scroll";
import type { CopyForm, Selection } from "./selection";
import { copied, range } from "./selection";
import type { Filter, GridSource, View } from "./source";
import { isNumber, PLAIN } from "./source";
import { cellText } from "./values";
import { Windows } from "./windows";

const NUMBERS = 64;
const MOST_COPIED = 50_000;
// A frame that is a little late is better than an empty one; after this, the places are shown.
const PATIENCE_MS = 220;
const LONGEST_SHOWN = 300;

export interface ResultGridProps {
  source: GridSource;
  label?: string;
  /** The order and the filters, where the page keeps them. */
  view?: View;
  onView?: (view: View) => void;
}

/** Rows of a result, however many: only those in sight are fetched and drawn. */
export function ResultGrid({ source, label = "Result", view: given, onView }: ResultGridProps) {
  const [own, setOwn] = useState<View>(PLAIN);
  const view = given ?? own;
  const setView = onView ?? setOwn;
  const [, redraw] = useReducer((n: number) => n + 1, 0);
  const box = useRef<HTMLDivElement>(null);
  const id = useId();
  const [widths, setWidths] = useState<Record<number, number>>({});
  const [selection, setSelection] = useState<Selection | null>(null);
  const [opened, setOpened] = useState<{ title: string; value: string | null; loading: boolean } | null>(null);
  const dragging = useRef(false);

  const shape = JSON.stringify(view);
  // A new source or a new order is a new set of windows; the old one's requests end.
  // biome-ignore: the view is compared by what it says.
  const windows = useMemo(() => new Windows(source, view, redraw), [source.key, shape]);
  useEffect(() => () => windows.close(), [windows]);
  useEffect(() => setSelection(null), [windows]);
  useEffect(() => setWidths({}), [source.key]);
  const rows = Math.max(windows.rows, view.filters.length === 0 ? (source.rows ?? 0) : 0);
  if (rows > windows.rows) windows.rows = rows;

  const { scroll, tall, moveTo } = useScroll(box, rows);
  const visible = Math.ceil(scroll.height / ROW) + 1;

  // What is drawn follows what is asked for as soon as its rows are here.
  const drawn = useRef({ top: 0, windows, since: 0 });
  const wantedFirst = Math.max(0, Math.floor(scroll.top / ROW));
  const wantedLast = Math.min(rows - 1, wantedFirst + visible);
  const direction = Math.sign(scroll.top - drawn.current.top);
  const ready = windows.has(wantedFirst, Math.max(wantedFirst, wantedLast));
  const now = performance.now();
  if (ready || drawn.current.windows !== windows || windows.error) {
    drawn.current = { top: scroll.top, windows, since: 0 };
  } else if (drawn.current.since === 0) drawn.current.since = now;
  else if (now - drawn.current.since > PATIENCE_MS) drawn.current = { top: scroll.top, windows, since: now };
  useEffect(() => {
    windows.need(wantedFirst, Math.max(wantedFirst, wantedLast), direction);
    if (!ready) {
      const timer = setTimeout(redraw, PATIENCE_MS + 10);
      return () => clearTimeout(timer);
    }
    return undefined;
  }, [windows, wantedFirst, wantedLast, direction, ready]);

  const top = drawn.current.top;
  const first = Math.max(0, Math.floor(top / ROW));
  const last = Math.min(rows - 1, first + visible);

  const layout = useLayout(source, widths, windows);
  const columns = layout.visible(scroll.left, scroll.width);
  const selected = selection && range(selection);
  const arrangeable = source.arrangeable !== false;

  const copy = async (form: CopyForm) => {
    if (!selected) return;
    const amount = selected.bottom - selected.top + 1;
    if (amount > MOST_COPIED) {
      toast(`Up to ${count(MOST_COPIED)} rows can be copied: download the result instead`, { tone: "info" });
      return;
    }
    try {
      const tables = await windows.fetch(selected.top, amount, new AbortController().signal);
      await navigator.clipboard.writeText(copied(tables, selected, source.columns, form));
      const cells = amount * (selected.right - selected.left + 1);
      toast(cells === 1 ? "Copied the cell" : `Copied ${count(cells)} cells`);
    } catch (problem) {
      toastError(problem);
    }
  };

  const open = async (row: number, column: number) => {
    const title = source.columns[column]?.name ?? "";
    const found = windows.find(row);
    const vector = found?.table.getChildAt(column);
    const here = found && vector ? cellText(vector, found.index) : null;
    setOpened({ title, value: here, loading: Boolean(source.cell && here?.endsWith("…")) });
    if (!source.cell || !here?.endsWith("…")) return;
    try {
      const whole = await source.cell(row, column, view);
      setOpened({ title, value: typeof whole === "string" ? whole : JSON.stringify(whole, null, 2), loading: false });
    } catch (problem) {
      setOpened(null);
      toastError(problem);
    }
  };

  const put = (row: number, column: number, extend: boolean) => {
    const cell = {
      row: Math.max(0, Math.min(rows - 1, row)),
      column: Math.max(0, Math.min(source.columns.length - 1, column)),
    };
    setSelection((before) => ({ anchor: extend && before ? before.anchor : cell, focus: cell }));
    const y = cell.row * ROW;
    if (y < scroll.top) moveTo(y);
    else if (y + ROW > scroll.top + scroll.height) moveTo(y + ROW - scroll.height);
    const element = box.current;
    if (element) {
      const x = layout.left(cell.column) - NUMBERS;
      const wide = layout.width(cell.column);
      if (x < element.scrollLeft) element.scrollLeft = x;
      else if (x + wide > element.scrollLeft + scroll.width - NUMBERS) element.scrollLeft = x + wide - scroll.width + NUMBERS;
    }
  };

  const onKey = (event: KeyboardEvent) => {
    if (event.target !== event.currentTarget) return;
    const at = selection?.focus ?? { row: first, column: 0 };
    const page = Math.max(1, visible - 3);
    const far = event.ctrlKey || event.metaKey;
    const steps: Record<string, [number, number]> = {
      ArrowDown: [far ? rows - 1 : at.row + 1, at.column],
      ArrowUp: [far ? 0 : at.row - 1, at.column],
      ArrowRight: [at.row, far ? source.columns.length - 1 : at.column + 1],
      ArrowLeft: [at.row, far ? 0 : at.column - 1],
      PageDown: [at.row + page, at.column],
      PageUp: [at.row - page, at.column],
      Home: [far ? 0 : at.row, 0],
      End: [far ? rows - 1 : at.row, source.columns.length - 1],
    };
    const step = steps[event.key];
    if (step) put(step[0], step[1], event.shiftKey);
    else if (event.key === "Enter" && selection) void open(at.row, at.column);
    else if (far && event.key.toLowerCase() === "c" && selection) void copy("text");
    else if (far && event.key.toLowerCase() === "a") {
      setSelection({ anchor: { row: 0, column: 0 }, focus: { row: rows - 1, column: source.columns.length - 1 } });
    } else if (event.key === "Escape" && selection) setSelection(null);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };

  const cellOf = (event: MouseEvent): { row: number; column: number } | null => {
    const cell = (event.target as HTMLElement).closest<HTMLElement>("[data-cell]");
    const [row, column] = (cell?.dataset.cell ?? "").split(",").map(Number);
    return cell && row !== undefined && column !== undefined ? { row, column } : null;
  };

  const menu: MenuItem[] = [
    { label: "Copy", keys: "mod+C", disabled: !selection, onSelect: () => void copy("text") },
    { label: "Copy with headers", disabled: !selection, onSelect: () => void copy("headers") },
    { label: "Copy as JSON", disabled: !selection, onSelect: () => void copy("json") },
    "separator",
    {
      label: "Show the whole value",
      keys: "Enter",
      disabled: !selection,
      onSelect: () => selection && void open(selection.focus.row, selection.focus.column),
    },
  ];
  if (arrangeable && selection) {
    const { row, column } = selection.focus;
    const found = windows.find(row);
    const vector = found?.table.getChildAt(column);
    const value = found && vector ? cellText(vector, found.index) : null;
    const filter: Filter = value === null ? { column, op: "is_null" } : { column, op: "eq", value };
    menu.push({
      label: `Only rows where ${filterWords(filter, source.columns)}`.slice(0, 60),
      onSelect: () => setView({ ...view, filters: [...view.filters.filter((one) => one.column !== column), filter] }),
    });
  }

  const sortBy = (column: number, add: boolean) => {
    const before = view.sort.find((one) => one.column === column);
    const others = add ? view.sort.filter((one) => one.column !== column) : [];
    const next = !before ? [{ column, descending: false }] : before.descending ? [] : [{ column, descending: true }];
    setView({ ...view, sort: [...others, ...next] });
    moveTo(0);
  };

  return (
    <div className="flex min-h-0 min-w-0 flex-1 flex-col">
      {view.filters.length > 0 && (
        <div className="flex min-h-8 flex-wrap items-center gap-1.5 border-b px-3 py-1">
          {view.filters.map((filter) => (
            <span key={filter.column} className="bg-accent-soft text-accent flex items-center gap-1 rounded-sm px-1.5 text-sm">
              <bdi>{filterWords(filter, source.columns)}</bdi>
              <button
                type="button"
                aria-label={`Remove the filter on ${source.columns[filter.column]?.name}`}
                onClick={() => setView({ ...view, filters: view.filters.filter((one) => one !== filter) })}
              >
                <X aria-hidden size={12} />
              </button>
            </span>
          ))}
          <span className="text-text-2 text-sm">
            {windows.final ? `${count(rows)} of ${count(source.rows)} rows` : ""}
          </span>
          <Button size="sm" variant="ghost" onClick={() => setView({ ...view, filters: [] })}>
            Clear
          </Button>
        </div>
      )}
      {windows.error != null && (
        <div className="p-3">
          <ErrorBox error={windows.error} onRetry={() => { windows.error = null; windows.need(wantedFirst, wantedLast, 1); redraw(); }} />
        </div>
      )}
      <ContextMenu items={menu}>
        <div
          ref={box}
          role="grid"
          tabIndex={0}
          aria-label={label}
          aria-rowcount={rows + 1}
          aria-colcount={source.columns.length + 1}
          aria-multiselectable
          aria-activedescendant={selection ? `${id}-${selection.focus.row}-${selection.focus.column}` : undefined}
          onKeyDown={onKey}
          onPointerDown={(event) => {
            const cell = cellOf(event);
            if (!cell) return;
            const inside = selected && cell.row >= selected.top && cell.row <= selected.bottom && cell.column >= selected.left && cell.column <= selected.right;
            if (event.button === 2 && inside) return;
            dragging.current = event.button === 0;
            setSelection((before) => ({ anchor: event.shiftKey && before ? before.anchor : cell, focus: cell }));
          }}
          onPointerMove={(event) => {
            if (!dragging.current || !(event.buttons & 1)) return;
            const cell = cellOf(event);
            if (cell) setSelection((before) => (before ? { ...before, focus: cell } : { anchor: cell, focus: cell }));
          }}
          onPointerUp={() => {
            dragging.current = false;
          }}
          onDoubleClick={(event) => {
            const cell = cellOf(event);
            if (cell) void open(cell.row, cell.column);
          }}
          className="relative min-h-0 flex-1 overflow-auto outline-offset-[-2px] select-none"
        >
          <div style={{ height: tall + HEADER, width: layout.total, minWidth: "100%" }}>
            <div className="sticky top-0 z-0 overflow-clip" style={{ height: scroll.height + HEADER, width: layout.total, minWidth: "100%" }}>
              <div role="row" aria-rowindex={1} className="bg-surface-2 absolute inset-x-0 top-0 z-20 border-b" style={{ height: HEADER }}>
                <div className="bg-surface-2 sticky left-0 z-20 h-full border-r border-b" style={{ width: NUMBERS }} role="columnheader" aria-label="Row" aria-colindex={1} />
                {columns.map((column) => (
                  <HeaderCell
                    key={column}
                    column={source.columns[column] ?? { name: "", type: "" }}
                    index={column}
                    left={layout.left(column)}
                    width={layout.width(column)}
                    sort={view.sort.find((one) => one.column === column)}
                    filter={view.filters.find((one) => one.column === column)}
                    arrangeable={arrangeable}
                    onSort={(add) => sortBy(column, add)}
                    onFilter={(filter) => {
                      const others = view.filters.filter((one) => one.column !== column);
                      setView({ ...view, filters: filter ? [...others, filter] : others });
                      moveTo(0);
                    }}
                    onWidth={(width) => setWidths((before) => ({ ...before, [column]: width }))}
                  />
                ))}
              </div>
              {Array.from({ length: Math.max(0, last - first + 1) }, (_, offset) => {
                const row = first + offset;
                return (
                  <GridRow
                    key={row}
                    id={id}
                    row={row}
                    y={HEADER + row * ROW - top}
                    found={windows.find(row)}
                    columns={columns}
                    source={source}
                    layout={layout}
                    selected={selected && row >= selected.top && row <= selected.bottom ? selected : null}
                    focus={selection?.focus.row === row ? selection.focus.column : -1}
                  />
                );
              })}
            </div>
          </div>
        </div>
      </ContextMenu>
      <Dialog open={opened !== null} onOpenChange={(next) => !next && setOpened(null)} title={<bdi>{opened?.title}</bdi>} width="lg">
        <div className="pb-3">
          {opened?.loading ? <Skeleton lines={4} /> : opened?.value === null ? <i>NULL</i> : <CodeBlock code={opened?.value ?? ""} wrap />}
        </div>
      </Dialog>
    </div>
  );
}

interface Layout {
  total: number;
  left: (column: number) => number;
  width: (column: number) => number;
  visible: (left: number, width: number) => number[];
}

/** Where each column lies: as wide as its name and its first rows ask for, or as it was made. */
function useLayout(source: GridSource, widths: Record<number, number>, windows: Windows): Layout {
  const sample = windows.find(0)?.table ?? null;
  return useMemo(() => {
    const sizes = source.columns.map((column, index) => {
      const given = widths[index];
      if (given) return given;
      let longest = Math.max(column.name.length + 3, 6);
      const vector = sample?.getChildAt(index);
      if (vector) {
        for (let row = 0; row < Math.min(60, vector.length); row += 1) {
          longest = Math.max(longest, (cellText(vector, row) ?? "").length);
        }
      }
      return Math.round(Math.min(360, 24 + longest * 8));
    });
    const lefts: number[] = [];
    let at = NUMBERS;
    for (const size of sizes) {
      lefts.push(at);
      at += size;
    }
    return {
      total: at,
      left: (column) => lefts[column] ?? at,
      width: (column) => sizes[column] ?? 0,
      visible: (left, width) => {
        const out: number[] = [];
        for (let column = 0; column < sizes.length; column += 1) {
          const start = lefts[column] ?? 0;
          if (start + (sizes[column] ?? 0) >= left && start <= left + Math.max(width, 400)) out.push(column);
        }
        return out;
      },
    };
  }, [source.columns, widths, sample]);
}

function GridRow(props: {
  id: string;
  row: number;
  y: number;
  found: ReturnType<Windows["find"]>;
  columns: number[];
  source: GridSource;
  layout: Layout;
  selected: { left: number; right: number } | null;
  focus: number;
}) {
  const { id, row, y, found, columns, source, layout, selected, focus } = props;
  return (
    <div
      role="row"
      aria-rowindex={row + 2}
      className="absolute inset-x-0 top-0 border-b"
      style={{ height: ROW, transform: `translateY(${y}px)` }}
    >
      <div
        role="rowheader"
        aria-colindex={1}
        className="num bg-surface text-text-3 sticky left-0 z-10 h-full border-r px-2 text-xs leading-[25px]"
        style={{ width: NUMBERS }}
      >
        {row + 1}
      </div>
      {columns.map((column) => (
        <GridCell
          key={column}
          id={`${id}-${row}-${column}`}
          place={`${row},${column}`}
          column={column}
          vector={found?.table.getChildAt(column) ?? null}
          index={found?.index ?? 0}
          right={isNumber(source.columns[column]?.type ?? "")}
          left={layout.left(column)}
          width={layout.width(column)}
          chosen={selected !== null && column >= selected.left && column <= selected.right}
          focused={focus === column}
        />
      ))}
    </div>
  );
}

function GridCell(props: {
  id: string;
  place: string;
  column: number;
  vector: Vector | null;
  index: number;
  right: boolean;
  left: number;
  width: number;
  chosen: boolean;
  focused: boolean;
}) {
  const { id, place, column, vector, index, right, left, width, chosen, focused } = props;
  const text = vector ? cellText(vector, index) : undefined;
  return (
    <div
      id={id}
      role="gridcell"
      aria-colindex={column + 2}
      aria-selected={chosen}
      data-cell={place}
      className={cx(
        "absolute top-0 h-full truncate border-r px-2 leading-[25px] whitespace-pre",
        right && "num",
        chosen && "bg-selected",
        focused && "outline-accent z-[5] outline-2 -outline-offset-2",
      )}
      style={{ left, width }}
    >
      {text === undefined ? (
        <span className="skeleton mt-2 inline-block h-2.5 w-3/5" />
      ) : text === null ? (
        <span className="text-text-3 text-xs italic">NULL</span>
      ) : (
        <bdi>{text.length > LONGEST_SHOWN ? `${text.slice(0, LONGEST_SHOWN)}…` : text.replaceAll(/[\r\n]+/g, " ⏎ ")}</bdi>
      )}
    </div>
  );
}
