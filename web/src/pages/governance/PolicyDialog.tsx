import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { Eye } from "lucide-react";
import { useEffect, useState } from "react";

import { api } from "@/api/client";
import { Button, Combobox, Dialog, EmptyState, ErrorBox, Field, Input, Select, Split, Textarea, toast } from "@/ui";

import { useChanges, usePrincipals } from "./model";
import { Pane } from "./Pane";

const WHAT: Record<string, string> = {
  "replace-with-null": "nothing at all: NULL",
  "mask-to-fixed-value": "the same fixed value for all",
  "mask-alphanum": "x for letters, n for digits",
  "show-first-4": "the first four characters",
  "show-last-4": "the last four characters",
  "truncate-to-year": "the year",
  "truncate-to-month": "the month",
  "sha-256-global": "a hash that is the same everywhere",
  "sha-256-query-local": "a hash that is good within one query",
  expression: "the result of an SQL expression",
};

/** The value once it has not changed for a moment. */
function useSettled<T>(value: T): T {
  const [settled, setSettled] = useState(value);
  const mark = JSON.stringify(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(JSON.parse(mark) as T), 450);
    return () => clearTimeout(timer);
  }, [mark]);
  return settled;
}

/** A new row filter or column mask, with the table as a user sees it before and after. */
export function PolicyDialog({ kind, onClose }: { kind: "row_filter" | "column_mask"; onClose: () => void }) {
  const changes = useChanges();
  const filter = kind === "row_filter";
  const [name, setName] = useState("");
  const [table, setTable] = useState("");
  const [predicate, setPredicate] = useState("");
  const [column, setColumn] = useState("");
  const [action, setAction] = useState("");
  const [expression, setExpression] = useState("");
  const [to, setTo] = useState("");
  const [spared, setSpared] = useState("");
  const [user, setUser] = useState("");
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const principals = usePrincipals();
  const users = useQuery({
    queryKey: ["governance", "viewable"],
    queryFn: ({ signal }) => api.get("/api/v1/view-as/users", { signal }),
  });
  const known = useSettled(table.trim());
  const tables = useQuery({
    queryKey: ["governance", "matrix-tables"],
    queryFn: async ({ signal }) => {
      const page = await api.get("/api/v1/access-matrix", { query: { search: ".", limit: 200 }, signal });
      return page.rows.filter((row) => row.kind === "table" && row.manages).map((row) => row.name);
    },
  });
  const columns = useQuery({
    queryKey: ["governance", "mask-actions", known],
    enabled: known.includes("."),
    retry: false,
    queryFn: ({ signal }) => api.get("/api/v1/tables/{table}/mask-actions", { path: { table: known }, signal }),
  });
  const chosen = columns.data?.find((each) => each.name === column);
  const named = (key: string) => {
    const [of = "", ...rest] = key.split(":");
    return rest.length ? [{ kind: of, name: rest.join(":") }] : [];
  };
  const body = {
    name: name.trim() || "draft",
    table: table.trim(),
    to: named(to),
    except_to: named(spared),
    ...(filter
      ? { predicate: predicate.trim() }
      : { column, action, expression: action === "expression" ? expression.trim() : null }),
  };
  const whole =
    body.table.includes(".") && body.to.length > 0 &&
    (filter ? predicate.trim() !== "" : column !== "" && action !== "" && (action !== "expression" || expression.trim() !== ""));
  const draft = useSettled({ body, user, whole });
  const seen = useQuery({
    queryKey: ["policy-preview", draft],
    enabled: draft.whole && draft.user !== "",
    retry: false,
    placeholderData: keepPreviousData,
    queryFn: ({ signal }) =>
      api.post("/api/v1/policies/preview", {
        body: { [kind]: draft.body, user: draft.user, limit: 50 } as never,
        signal,
      }),
  });
  const make = async () => {
    setBusy(true);
    setError(null);
    try {
      if (filter) await api.post("/api/v1/row-filters", { body: body as never });
      else await api.post("/api/v1/column-masks", { body: body as never });
      await changes.fresh();
      toast(`${filter ? "Row filter" : "Column mask"} ${body.name} is in force`, {
        undo: async () => {
          await api.del("/api/v1/policies/{kind}/{table}/{name}", {
            path: { kind, table: body.table, name: body.name },
          });
          await changes.fresh();
        },
      });
      onClose();
    } catch (problem) {
      setError(problem);
    } finally {
      setBusy(false);
    }
  };
  const people = principals.data?.map((each) => ({
    value: `${each.kind}:${each.name}`,
    label: each.name,
    hint: each.kind === "user" ? undefined : each.kind.replace("_", " "),
  })) ?? [];
  return (
    <Dialog
      open
      onOpenChange={(open) => !open && onClose()}
      width="xl"
      title={filter ? "New row filter" : "New column mask"}
      description={filter ? "Rows for which it is not true do not exist." : "Something else stands in for the values."}
      footer={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button variant="primary" busy={busy} disabled={!whole || !name.trim()} onClick={() => void make()}>
            Put it in force
          </Button>
        </>
      }
    >
      <div className="grid min-h-[26rem] grid-cols-[18rem_minmax(0,1fr)] gap-4 max-md:grid-cols-1">
        <div className="flex flex-col gap-3">
          <Field label="Name" required>
            <Input autoFocus value={name} onChange={(event) => setName(event.target.value)} />
          </Field>
          <Field label="Table" required error={columns.error ? "There is no such table" : undefined}>
            <Combobox value={table} onChange={setTable} options={tables.data ?? []} placeholder="schema.table" />
          </Field>
          {filter ? (
            <Field label="Only rows where" required hint={columns.data?.map((each) => each.name).join(", ")}>
              <Textarea
                rows={3}
                className="mono"
                value={predicate}
                placeholder="region = 'EU'"
                onChange={(event) => setPredicate(event.target.value)}
              />
            </Field>
          ) : (
            <>
              <Field label="Column" required>
                <Select
                  value={column}
                  placeholder="Choose a column"
                  onChange={(value) => {
                    setColumn(value);
                    setAction("");
                  }}
                  options={columns.data?.map((each) => ({ value: each.name, label: each.name, hint: each.type })) ?? []}
                />
              </Field>
              <Field label="Show instead" required>
                <Select
                  value={action}
                  placeholder="Choose a mask"
                  disabled={!chosen}
                  onChange={setAction}
                  options={chosen?.actions.map((each) => ({ value: each, label: each, hint: WHAT[each] })) ?? []}
                />
              </Field>
              {action === "expression" && (
                <Field label="SQL expression" required>
                  <Textarea rows={2} className="mono" value={expression} onChange={(event) => setExpression(event.target.value)} />
                </Field>
              )}
            </>
          )}
          <Field label="Binds" required>
            <Select value={to} placeholder="User or role" onChange={setTo} options={people} />
          </Field>
          <Field label="Spares">
            <Select value={spared} onChange={setSpared} options={[{ value: "", label: "Nobody" }, ...people]} />
          </Field>
          {error != null && <ErrorBox error={error} />}
        </div>
        <div className="flex min-h-0 min-w-0 flex-col overflow-hidden rounded-md border">
          <div className="bg-surface-2 flex shrink-0 items-center gap-2 border-b px-3 py-1.5">
            <Eye aria-hidden size={14} className="text-text-2" />
            <span className="text-text-2">Preview as</span>
            <Select
              label="Preview as"
              size="sm"
              className="!w-44"
              placeholder="Choose a user"
              value={user}
              onChange={setUser}
              options={users.data?.map((each) => ({ value: each.name, label: each.name })) ?? []}
            />
            {seen.isFetching && <span className="text-text-3">looking…</span>}
          </div>
          {seen.error ? (
            <div className="p-3">
              <ErrorBox error={seen.error} />
            </div>
          ) : seen.data && draft.whole && draft.user ? (
            <Split direction="row" storageKey="policy">
              <Pane title={`${seen.data.first.user} now`} pane={seen.data.first} missing={seen.data.missing} other={seen.data.second} />
              <Pane title={`${seen.data.second.user} then`} pane={seen.data.second} other={seen.data.first} />
            </Split>
          ) : (
            <EmptyState icon={Eye} title="Before and after">
              {users.data?.length === 0
                ? "Looking as another user needs IMPERSONATE; the policy can be made without."
                : "Fill in the policy and choose a user: their view now and with it appears here, before anything is made."}
            </EmptyState>
          )}
        </div>
      </div>
    </Dialog>
  );
}
