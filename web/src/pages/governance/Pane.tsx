import { EyeOff, ShieldAlert } from "lucide-react";

import type { Posted } from "@/api/client";
import { Badge, cx, EmptyState, Tooltip } from "@/ui";
import { plural } from "@/ui/format";

export type SideBySide = Posted<"/api/v1/view-as">;
type PaneView = SideBySide["first"];

export interface PaneProps {
  title: string;
  pane: PaneView;
  /** Rows that the other side does not have. */
  missing?: readonly number[] | null;
  /** The other side, to show what is hidden or masked on this one. */
  other?: PaneView;
}

/** The places of a pane's columns: what is masked or hidden on either side comes first. */
function ordered(pane: PaneView, other: PaneView | undefined): number[] {
  const theirs = new Map(other?.columns.map((column) => [column.name, column]));
  const differs = (place: number) => {
    const column = pane.columns[place];
    if (!column || !other || other.error || pane.error) return false;
    const same = theirs.get(column.name);
    return !same || same.action !== column.action;
  };
  const places = pane.columns.map((_, place) => place);
  return [...places.filter(differs), ...places.filter((place) => !differs(place))];
}

/** What one user sees of a table. */
export function Pane({ title, pane, missing, other }: PaneProps) {
  const gone = new Set(missing ?? []);
  const places = ordered(pane, other);
  const names = new Set(pane.columns.map((column) => column.name));
  const hidden = pane.error ? [] : (other?.columns.filter((column) => !names.has(column.name)) ?? []);
  return (
    <section aria-label={title} className="flex min-h-0 min-w-0 flex-1 flex-col">
      <header className="bg-surface flex min-h-9 shrink-0 flex-wrap items-center gap-2 border-b px-3 py-1">
        <h3 className="font-semibold">
          <bdi>{title}</bdi>
        </h3>
        {pane.role && <Badge>{pane.role}</Badge>}
        {pane.total != null && <span className="text-text-2">{plural(pane.total, "row")}</span>}
        <span className="flex-1" />
        {pane.filtered && (
          <Badge tone="warn" title={pane.policies.join(", ")}>
            rows filtered
          </Badge>
        )}
        {hidden.length > 0 && (
          <Badge tone="bad" title={hidden.map((column) => column.name).join(", ")}>
            {plural(hidden.length, "column")} hidden
          </Badge>
        )}
      </header>
      {pane.error ? (
        <EmptyState icon={EyeOff} title={pane.error.code === "TABLE_NOT_FOUND" ? "It does not exist here" : "Not allowed"}>
          <p>
            {pane.user} gets: <span className="mono">{pane.error.code}</span>
          </p>
          <p>{pane.error.message}</p>
        </EmptyState>
      ) : pane.rows.length === 0 ? (
        <EmptyState icon={ShieldAlert} title="No row">
          The table is here, and no row of it is to be seen.
        </EmptyState>
      ) : (
        <div className="min-h-0 flex-1 overflow-auto" tabIndex={0} role="region" aria-label={`Rows: ${title}`}>
          <table aria-label={title} className="border-separate border-spacing-0">
            <thead>
              <tr>
                {hidden.map((column) => (
                  <th
                    key={column.name}
                    scope="col"
                    className="bg-surface-2 text-text-3 sticky top-0 z-10 h-8 border-r border-b px-2 text-left text-sm font-normal whitespace-nowrap line-through"
                  >
                    {column.name}
                  </th>
                ))}
                {places.map((at) => pane.columns[at]).map((column) => column && (
                  <th
                    key={column.name}
                    scope="col"
                    className="bg-surface text-text-2 sticky top-0 z-10 h-8 max-w-64 border-r border-b px-2 text-left text-sm font-medium whitespace-nowrap"
                  >
                    <bdi>{column.name}</bdi>
                    {column.action ? (
                      <Tooltip text={`mask ${column.mask ?? ""}: ${column.action}`}>
                        <span tabIndex={0} className="ml-1.5">
                          <Badge tone="warn">{column.action}</Badge>
                        </span>
                      </Tooltip>
                    ) : (
                      <span className="text-text-3 ml-1.5 font-normal">{column.type}</span>
                    )}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {pane.rows.map((row, place) => (
                <tr key={place} className={gone.has(place) ? "bg-bad-soft" : undefined}>
                  {hidden.map((column) => (
                    <td key={column.name} aria-label="hidden" className="bg-surface-2 border-r border-b px-2" />
                  ))}
                  {places.map((column) => [column, row[column]] as const).map(([column, value]) => (
                    <td
                      key={column}
                      title={typeof value === "string" ? value : undefined}
                      className={cx(
                        "h-7 max-w-64 truncate border-r border-b px-2",
                        typeof value === "number" && "num",
                        pane.columns[column]?.action && "bg-warn-soft",
                        gone.has(place) && "text-text-2 line-through",
                      )}
                    >
                      {value === null ? (
                        <span className="text-text-3 italic">NULL</span>
                      ) : (
                        <bdi>{typeof value === "object" ? JSON.stringify(value) : String(value)}</bdi>
                      )}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}
