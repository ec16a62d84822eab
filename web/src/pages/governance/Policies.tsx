import { useQuery } from "@tanstack/react-query";
import { Filter, Plus, Trash2, VenetianMask } from "lucide-react";
import { useState } from "react";

import { api } from "@/api/client";
import { useUrl } from "@/shell/url";
import { Badge, Button, Card, EmptyState, ErrorBox, IconButton, SearchInput, Table, toast, toastError } from "@/ui";

import { type Row, text, useChanges } from "./model";
import { PolicyDialog } from "./PolicyDialog";

/** Row filters and column masks: what there is, and making them with a look at what they do. */
export function Policies() {
  const [{ q = "" }, setUrl] = useUrl<{ q?: string }>();
  const [making, setMaking] = useState<"row_filter" | "column_mask" | null>(null);
  const changes = useChanges();
  const found = useQuery({
    queryKey: ["governance", "policies"],
    queryFn: ({ signal }) => api.get("/api/v1/policies", { signal }),
  });
  const rows = found.data?.filter((row) =>
    Object.values(row).join(" ").toLowerCase().includes(q.toLowerCase()),
  );
  const drop = async (row: Row) => {
    const kind = text(row, "type") === "row filter" ? "row_filter" : "column_mask";
    try {
      await api.del("/api/v1/policies/{kind}/{table}/{name}", {
        path: { kind, table: text(row, "table"), name: text(row, "policy") },
      });
      toast(`${text(row, "type")} ${text(row, "policy")} was dropped`, {
        undo: () => remake(row).then(changes.fresh),
      });
      await changes.fresh();
    } catch (error) {
      toastError(error);
    }
  };
  return (
    <div className="flex min-h-0 flex-1 flex-col gap-4 overflow-auto p-4">
      <Card
        title="Row filters and column masks"
        actions={
          <>
            <SearchInput value={q} onChange={(value) => setUrl({ q: value || undefined })} placeholder="Search" />
            <Button icon={Plus} onClick={() => setMaking("row_filter")}>
              Row filter
            </Button>
            <Button icon={Plus} onClick={() => setMaking("column_mask")}>
              Column mask
            </Button>
          </>
        }
      >
        {found.error ? (
          <div className="p-3">
            <ErrorBox error={found.error} onRetry={() => void found.refetch()} />
          </div>
        ) : (
          <Table<Row>
            label="Policies"
            rows={rows}
            loading={found.isPending}
            rowKey={(row) => `${text(row, "type")} ${text(row, "table")} ${text(row, "policy")}`}
            empty={
              <EmptyState icon={VenetianMask} title={q ? "No policy matches" : "No policy that you may see"}>
                A row filter makes rows not exist, a column mask shows something else in their place: in every engine, for
                everybody that it names. You see those of tables whose grants you manage.
              </EmptyState>
            }
            columns={[
              {
                key: "name",
                header: "Policy",
                width: "11rem",
                sort: (row) => text(row, "policy"),
                cell: (row) => (
                  <span className="inline-flex items-center gap-2 align-middle">
                    {row.type === "row filter" ? (
                      <Filter aria-label="row filter" size={14} className="text-text-3" />
                    ) : (
                      <VenetianMask aria-label="column mask" size={14} className="text-text-3" />
                    )}
                    <bdi>{text(row, "policy")}</bdi>
                    <span className="text-text-3">v{text(row, "version")}</span>
                  </span>
                ),
              },
              { key: "table", header: "Table", width: "14rem", sort: (row) => text(row, "table"), cell: (row) => <bdi>{text(row, "table")}</bdi> },
              {
                key: "what",
                header: "What it does",
                cell: (row) =>
                  row.type === "row filter" ? (
                    <span className="mono" title={text(row, "expression")}>{text(row, "expression")}</span>
                  ) : (
                    <span title={text(row, "expression")}>
                      <span className="mono">{text(row, "column")}</span> <Badge tone="warn">{text(row, "action")}</Badge>{" "}
                      <span className="mono">{text(row, "expression")}</span>
                    </span>
                  ),
              },
              { key: "to", header: "Binds", width: "10rem", cell: (row) => text(row, "to") },
              { key: "except", header: "Spares", width: "8rem", cell: (row) => text(row, "except") },
              {
                key: "x",
                header: "",
                width: "3rem",
                cell: (row) => (
                  <IconButton size="sm" icon={Trash2} label={`Drop ${text(row, "policy")}`} onClick={() => void drop(row)} />
                ),
              },
            ]}
          />
        )}
      </Card>
      {making && <PolicyDialog kind={making} onClose={() => setMaking(null)} />}
    </div>
  );
}

/** Makes a dropped policy again, from what the list said of it. */
async function remake(row: Row): Promise<void> {
  const named = (key: string) =>
    text(row, key).split(", ").filter(Boolean).map((name) => ({ name }));
  const common = {
    name: text(row, "policy"),
    table: text(row, "table"),
    dialect: "duckdb",
    to: named("to"),
    except_to: named("except"),
  };
  if (text(row, "type") === "row filter") {
    await api.post("/api/v1/row-filters", { body: { ...common, predicate: text(row, "expression") } as never });
  } else {
    const expression = text(row, "expression") || null;
    await api.post("/api/v1/column-masks", {
      body: { ...common, column: text(row, "column"), action: text(row, "action"), expression } as never,
    });
  }
}
