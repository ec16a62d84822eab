import { keepPreviousData, useQueries, useQuery } from "@tanstack/react-query";
import { useVirtualizer } from "@tanstack/react-virtual";
import { ChevronRight, Database, Eye, Table2 } from "lucide-react";
import { useEffect, useMemo, useRef, useState, type KeyboardEvent, type ReactNode } from "react";
import { api } from "@/api/client";
import { go } from "@/shell/navigation";
import { ErrorBox, SearchInput, Skeleton } from "@/ui";
import { pageOf } from "./names";

const PAGE = 200;
const ROW = 26;

interface Row {
  key: string;
  level: 1 | 2;
  kind: "schema" | "table" | "view" | "waiting";
  label: string;
  schema: string;
  name?: string;
  open?: boolean;
  /** The page of the schema's listing that holds the row. */
  page?: number;
}

const ICON = { schema: Database, table: Table2, view: Eye, waiting: Table2 };

/** Schemas and their tables. Listings come a page at a time, as they scroll into view. */
export function Tree({ schema, table }: { schema?: string; table?: string }): ReactNode {
  const [text, setText] = useState("");
  const [wanted, setWanted] = useState("");
  useEffect(() => {
    const timer = setTimeout(() => setWanted(text.trim()), 150);
    return () => clearTimeout(timer);
  }, [text]);
  return (
    <div className="flex h-full min-h-0 flex-col bg-surface">
      <div className="p-2">
        <SearchInput value={text} onChange={setText} placeholder="Find tables and schemas" />
      </div>
      {wanted ? (
        <Results text={wanted} schema={schema} table={table} />
      ) : (
        <Browse schema={schema} table={table} />
      )}
    </div>
  );
}

function Results({ text, schema, table }: { text: string; schema?: string; table?: string }): ReactNode {
  const found = useQuery({
    queryKey: ["data", "find", text],
    queryFn: ({ signal }) => api.get("/api/v1/find", { query: { q: text, limit: 100 }, signal }),
    placeholderData: keepPreviousData,
  });
  if (found.error) return <ErrorBox error={found.error} onRetry={() => void found.refetch()} />;
  const rows = (found.data ?? []).map(
    (each): Row => ({
      key: `${each.schema}/${each.name ?? ""}`,
      level: 1,
      kind: each.kind,
      label: each.name ? `${each.schema}.${each.name}` : each.schema,
      schema: each.schema,
      name: each.name ?? undefined,
    }),
  );
  if (!found.isPending && rows.length === 0) {
    return <p className="px-3 py-2 text-text-2">Nothing here is called “{text}”.</p>;
  }
  return <Rows rows={rows} schema={schema} table={table} label="Search results" />;
}

function Browse({ schema, table }: { schema?: string; table?: string }): ReactNode {
  const schemas = useQuery({
    queryKey: ["data", "schemas"],
    queryFn: ({ signal }) => api.get("/api/v1/schemas", { signal }),
  });
  const [open, setOpen] = useState<ReadonlySet<string>>(() => new Set(schema ? [schema] : []));
  const [pages, setPages] = useState<ReadonlySet<string>>(new Set());
  useEffect(() => {
    if (schema) setOpen((known) => (known.has(schema) ? known : new Set([...known, schema])));
  }, [schema]);
  const names = useMemo(() => (schemas.data ?? []).map((each) => each.name), [schemas.data]);
  const single = names.length === 1 ? names[0] : undefined;
  useEffect(() => {
    if (single) setOpen((known) => (known.size ? known : new Set([single])));
  }, [single]);
  const wanted = useMemo(() => {
    const keys = new Set(pages);
    for (const name of open) keys.add(pageKey(name, 0));
    return [...keys].map(readKey).filter((each) => open.has(each.schema));
  }, [open, pages]);
  const listings = useQueries({
    queries: wanted.map(({ schema: name, page }) => ({
      queryKey: ["data", "tree", name, page],
      queryFn: ({ signal }: { signal: AbortSignal }) =>
        api.get("/api/v1/tree", { query: { schema: name, offset: page * PAGE, limit: PAGE }, signal }),
    })),
  });
  const byKey = new Map(wanted.map((each, index) => [pageKey(each.schema, each.page), listings[index]?.data]));
  const rows: Row[] = [];
  for (const name of names) {
    const isOpen = open.has(name);
    rows.push({ key: name, level: 1, kind: "schema", label: name, schema: name, open: isOpen });
    if (!isOpen) continue;
    const total = byKey.get(pageKey(name, 0))?.total;
    if (total === undefined) {
      rows.push({ key: `${name}/…`, level: 2, kind: "waiting", label: "", schema: name });
    }
    for (let index = 0; index < (total ?? 0); index++) {
      const page = Math.floor(index / PAGE);
      const item = byKey.get(pageKey(name, page))?.items[index % PAGE];
      rows.push({
        key: `${name}/${item?.name ?? index}`,
        level: 2,
        kind: item ? (item.kind === "view" ? "view" : "table") : "waiting",
        label: item?.name ?? "",
        schema: name,
        name: item?.name,
        page,
      });
    }
  }
  if (schemas.error) return <ErrorBox error={schemas.error} onRetry={() => void schemas.refetch()} />;
  if (schemas.isPending) return <Skeleton lines={8} />;
  if (names.length === 0) return <p className="px-3 py-2 text-text-2">No schema is visible to you yet.</p>;
  return (
    <Rows
      rows={rows}
      schema={schema}
      table={table}
      label="Schemas and tables"
      onToggle={(name, now) =>
        setOpen((known) => {
          const next = new Set(known);
          if (now) next.add(name);
          else next.delete(name);
          return next;
        })
      }
      onShown={(shown) => {
        const missing = shown
          .filter((row) => row.kind === "waiting" && row.page !== undefined)
          .map((row) => pageKey(row.schema, row.page ?? 0));
        if (missing.some((key) => !pages.has(key))) setPages((known) => new Set([...known, ...missing]));
      }}
    />
  );
}

function Rows({
  rows,
  schema,
  table,
  label,
  onToggle,
  onShown,
}: {
  rows: Row[];
  schema?: string;
  table?: string;
  label: string;
  onToggle?: (schema: string, open: boolean) => void;
  onShown?: (rows: Row[]) => void;
}): ReactNode {
  const holder = useRef<HTMLDivElement>(null);
  const [active, setActive] = useState(0);
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => holder.current,
    estimateSize: () => ROW,
    overscan: 12,
  });
  const shown = virtual.getVirtualItems();
  const range = `${shown[0]?.index ?? 0}-${shown.at(-1)?.index ?? 0}-${rows.length}`;
  useEffect(() => {
    // The virtualizer's items change with every scroll; what matters is which rows they are.
    onShown?.(shown.flatMap((item) => rows[item.index] ?? []));
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [range]);
  const select = (index: number): void => {
    const next = Math.max(0, Math.min(rows.length - 1, index));
    setActive(next);
    virtual.scrollToIndex(next);
  };
  const openRow = (row: Row | undefined): void => {
    if (row && row.kind !== "waiting") go(pageOf(row.schema, row.name));
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    const row = rows[active];
    const steps: Record<string, () => void> = {
      ArrowDown: () => select(active + 1),
      ArrowUp: () => select(active - 1),
      Home: () => select(0),
      End: () => select(rows.length - 1),
      PageDown: () => select(active + 20),
      PageUp: () => select(active - 20),
      Enter: () => openRow(row),
      ArrowRight: () => (row?.kind === "schema" && !row.open ? onToggle?.(row.schema, true) : select(active + 1)),
      ArrowLeft: () => {
        if (row?.kind === "schema" && row.open) onToggle?.(row.schema, false);
        else if (row) select(rows.findIndex((each) => each.kind === "schema" && each.schema === row.schema));
      },
    };
    const step = steps[event.key];
    if (step && !event.altKey && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      step();
    }
  };
  return (
    <div
      ref={holder}
      role="tree"
      aria-label={label}
      tabIndex={0}
      aria-activedescendant={rows.length ? `tree-${active}` : undefined}
      onKeyDown={onKeyDown}
      className="group min-h-0 flex-1 overflow-auto pb-2 outline-offset-[-2px]"
    >
      <div className="relative w-full" style={{ height: virtual.getTotalSize() }}>
        {shown.map((item) => {
          const row = rows[item.index];
          if (!row) return null;
          const chosen = row.schema === schema && row.name === table;
          const Icon = ICON[row.kind];
          return (
            <div
              key={row.key}
              id={`tree-${item.index}`}
              role="treeitem"
              aria-level={row.level}
              aria-expanded={row.kind === "schema" && onToggle ? row.open : undefined}
              aria-selected={chosen}
              title={row.label}
              className={`absolute left-0 flex w-full cursor-default items-center gap-1.5 pr-2 ${
                row.level === 2 ? "pl-8" : "pl-2"
              } ${chosen ? "bg-accent-soft text-accent" : "hover:bg-hover"} ${
                item.index === active ? "group-focus-visible:ring-1 group-focus-visible:ring-inset group-focus-visible:ring-accent" : ""
              }`}
              style={{ height: ROW, transform: `translateY(${item.start}px)` }}
              onClick={() => {
                setActive(item.index);
                if (row.kind === "schema" && onToggle && !row.open) onToggle(row.schema, true);
                openRow(row);
              }}
            >
              {row.kind === "schema" && onToggle ? (
                <button
                  type="button"
                  tabIndex={-1}
                  aria-label={row.open ? `Close ${row.label}` : `Open ${row.label}`}
                  className="-ml-0.5 rounded p-0.5 text-text-3 hover:text-text"
                  onClick={(event) => {
                    event.stopPropagation();
                    onToggle(row.schema, !row.open);
                  }}
                >
                  <ChevronRight size={13} className={row.open ? "rotate-90" : ""} />
                </button>
              ) : null}
              {row.kind === "waiting" ? (
                <span className="h-2.5 w-28 rounded bg-surface-2" />
              ) : (
                <>
                  <Icon size={14} className={`shrink-0 ${chosen ? "" : "text-text-3"}`} aria-hidden />
                  <bdi className="truncate">{row.label}</bdi>
                </>
              )}
            </div>
          );
        })}
      </div>
    </div>
  );
}

const pageKey = (schema: string, page: number): string => `${page}:${schema}`;

const readKey = (key: string): { schema: string; page: number } => {
  const at = key.indexOf(":");
  return { schema: key.slice(at + 1), page: Number(key.slice(0, at)) };
};
