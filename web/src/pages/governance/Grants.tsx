import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { ChevronLeft, ChevronRight, Grid3x3 } from "lucide-react";
import { useDeferredValue, useState } from "react";

import { api, type Got } from "@/api/client";
import { useUrl } from "@/shell/url";
import { Badge, Button, cx, EmptyState, ErrorBox, SearchInput, Skeleton } from "@/ui";
import { count, plural } from "@/ui/format";

import { type Chosen, CellDialog } from "./CellDialog";

type Matrix = Got<"/api/v1/access-matrix">;
type Holding = NonNullable<Matrix["rows"][number]["cells"][number]>[number];

const PAGE = 100;
/** Principals that the server puts into one page. */
const PEOPLE = 60;
const SHORT: Record<string, string> = {
  SELECT: "S",
  INSERT: "I",
  UPDATE: "U",
  DELETE: "D",
  "CREATE SCHEMA": "Cs",
  "CREATE TABLE": "Ct",
  "CREATE VIEW": "Cv",
  ALTER: "A",
  DROP: "X",
  "MANAGE GRANTS": "G",
  IMPERSONATE: "P",
  DESCRIBE: "V",
};
const LEGEND: readonly [string, string][] = [
  ["S", "select"], ["I", "insert"], ["U", "update"], ["D", "delete"], ["A", "alter"], ["X", "drop"],
  ["C…", "create"], ["V", "describe"], ["G", "manage grants"], ["P", "impersonate"],
];
const ALL = ["SELECT", "INSERT", "UPDATE", "DELETE", "ALTER", "DROP", "DESCRIBE"];

/** Principals against what they may have rights on. */
export function Grants() {
  const [{ schema, q = "", page = "0", who = "", from = "0" }, setUrl] = useUrl<{ schema?: string; q?: string; page?: string; who?: string; from?: string }>();
  const [chosen, setChosen] = useState<Chosen | null>(null);
  const offset = Number(page) * PAGE || 0;
  const first = Number(from) || 0;
  const [search, person] = [useDeferredValue(q), useDeferredValue(who)];
  const found = useQuery({
    queryKey: ["governance", "matrix", schema, search, offset, person, first],
    queryFn: ({ signal }) =>
      api.get("/api/v1/access-matrix", { query: { schema, search, who: person, who_offset: first, offset, limit: PAGE }, signal }),
    placeholderData: keepPreviousData,
  });
  const places = (found.data?.principals ?? []).map((principal, place) => ({ principal, place }));
  const people = found.data?.principals_total ?? 0;
  return (
    <div className="flex min-h-0 flex-1 flex-col">
      <div className="bg-surface flex shrink-0 flex-wrap items-center gap-2 border-b px-4 py-2">
        {schema && (
          <Button size="sm" variant="ghost" icon={ChevronLeft} onClick={() => setUrl({ schema: undefined, page: undefined })}>
            All schemas
          </Button>
        )}
        <SearchInput
          value={q}
          onChange={(value) => setUrl({ q: value || undefined, page: undefined })}
          placeholder={schema ? `Search in ${schema}` : "Search schemas, tables"}
          className="w-56"
        />
        <SearchInput value={who} onChange={(value) => setUrl({ who: value || undefined, from: undefined })} placeholder="Search users, roles" className="w-48" />
        {people > PEOPLE && (
          <Pager what="users and roles" offset={first} size={PEOPLE} total={people} onChange={(next) => setUrl({ from: next ? String(next) : undefined })} />
        )}
        <span className="flex-1" />
        <span className="text-text-2 hidden text-sm lg:inline">
          {LEGEND.map(([letter, word]) => (
            <span key={letter} className="mr-2 whitespace-nowrap">
              <b className="mono">{letter}</b> {word}
            </span>
          ))}
        </span>
      </div>
      {found.error ? (
        <div className="p-4">
          <ErrorBox error={found.error} onRetry={() => void found.refetch()} />
        </div>
      ) : found.isPending ? (
        <div className="p-4">
          <Skeleton lines={8} className="h-6" />
        </div>
      ) : found.data.rows.length === 0 ? (
        <EmptyState icon={Grid3x3} title="Nothing to see here">
          {q ? "No schema or table of that name." : "What you may see appears here, with who may do what with it."}
        </EmptyState>
      ) : (
        <div className="min-h-0 flex-1 overflow-auto" tabIndex={0} role="region" aria-label="Grants">
          <table aria-label="Grants by principal" className="border-separate border-spacing-0">
            <thead>
              <tr>
                <th scope="col" className="bg-surface sticky top-0 left-0 z-20 h-9 min-w-64 border-r border-b px-3 text-left text-sm font-medium">
                  {plural(found.data.total, "object")}
                </th>
                {places.map(({ principal }) => (
                  <th
                    key={`${principal.kind}:${principal.name}`}
                    scope="col"
                    className="bg-surface sticky top-0 z-10 h-9 min-w-24 border-r border-b px-2 text-left text-sm font-medium"
                  >
                    <bdi className={cx("block max-w-36 truncate", principal.disabled && "text-text-3 line-through")}>{principal.name}</bdi>
                    <span className="text-text-3 font-normal">{principal.kind.replace("_", " ")}</span>
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {found.data.rows.map((row) => (
                <tr key={`${row.kind}:${row.name}`} className="group">
                  <th
                    scope="row"
                    className="bg-surface group-hover:bg-hover sticky left-0 z-10 h-8 border-r border-b px-3 text-left font-normal"
                  >
                    <span className={cx("flex items-center gap-2", row.kind !== "catalog" && row.kind !== "schema" && "pl-4")}>
                      {row.kind === "schema" && !schema ? (
                        <button
                          type="button"
                          className="hover:text-accent inline-flex max-w-72 items-center gap-1 truncate"
                          onClick={() => setUrl({ schema: row.name, q: undefined, page: undefined }, { push: true })}
                        >
                          <bdi className="truncate">{row.name}</bdi>
                          <ChevronRight aria-hidden size={13} className="text-text-3" />
                        </button>
                      ) : (
                        <bdi className="max-w-72 truncate" title={row.name}>{row.name}</bdi>
                      )}
                      <span className="text-text-3 text-sm">{row.kind}</span>
                      {row.policies > 0 && <Badge tone="warn">{plural(row.policies, "policy", "policies")}</Badge>}
                    </span>
                  </th>
                  {places.map(({ principal, place }) => {
                    const cell = row.cells[place] ?? null;
                    return (
                      <td key={`${principal.kind}:${principal.name}`} className="group-hover:bg-hover h-8 border-r border-b p-0">
                        {cell === null ? (
                          <span className="text-text-3 block px-2" title="You may not look at this">?</span>
                        ) : (
                          <button
                            type="button"
                            aria-label={`${principal.name} on ${row.name}: ${said(cell)}`}
                            onClick={() =>
                              setChosen({ kind: row.kind, name: row.name, principal: principal.name, principalKind: principal.kind })
                            }
                            className="hover:bg-selected block h-8 w-full px-2 text-left outline-offset-[-2px]"
                          >
                            <Letters of={cell} />
                          </button>
                        )}
                      </td>
                    );
                  })}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {found.data && found.data.total > PAGE && (
        <div className="bg-surface flex shrink-0 items-center justify-end border-t px-4 py-1.5">
          <Pager what="objects" offset={offset} size={PAGE} total={found.data.total} onChange={(next) => setUrl({ page: String(next / PAGE) })} />
        </div>
      )}
      {chosen && <CellDialog key={JSON.stringify(chosen)} of={chosen} onClose={() => setChosen(null)} />}
    </div>
  );
}

function Pager(props: { what: string; offset: number; size: number; total: number; onChange: (offset: number) => void }) {
  const { what, offset, size, total, onChange } = props;
  return (
    <span role="group" aria-label={`Page of ${what}`} className="flex items-center gap-2">
      <span className="text-text-2 tabular-nums">
        {count(offset + 1)}–{count(Math.min(offset + size, total))} of {count(total)} {what}
      </span>
      <Button size="sm" disabled={offset === 0} onClick={() => onChange(Math.max(0, offset - size))}>
        Previous
      </Button>
      <Button size="sm" disabled={offset + size >= total} onClick={() => onChange(offset + size)}>
        Next
      </Button>
    </span>
  );
}

function said(cell: readonly Holding[]): string {
  return cell.map((each) => `${each.privilege.toLowerCase()} ${each.state}`).join(", ") || "nothing";
}

function Letters({ of }: { of: readonly Holding[] }) {
  const state = new Map(of.map((each) => [each.privilege as string, each]));
  const everything = ALL.every((name) => state.get(name)?.state === "allowed");
  const shown: { text: string; holding: Holding }[] = [];
  const first = state.get("SELECT");
  if (everything && first) shown.push({ text: "all", holding: first });
  for (const each of of) {
    if (everything && each.state === "allowed" && !["MANAGE GRANTS", "IMPERSONATE"].includes(each.privilege)) continue;
    shown.push({ text: SHORT[each.privilege] ?? each.privilege, holding: each });
  }
  return (
    <span aria-hidden className="mono flex flex-wrap gap-1">
      {shown.map(({ text, holding }) => (
        <span
          key={text}
          className={cx(
            holding.state === "denied" && "text-bad line-through",
            holding.state === "columns" && "text-warn",
            holding.state === "allowed" && (holding.direct ? "text-text font-bold" : "text-text-3"),
          )}
        >
          {text}
        </span>
      ))}
    </span>
  );
}
