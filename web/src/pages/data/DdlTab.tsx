import { useQuery } from "@tanstack/react-query";
import { Play } from "lucide-react";
import { type ReactNode, useState } from "react";

import { api } from "@/api/client";
import { openQuery } from "@/shell/openQuery";
import { Button, CodeBlock, ErrorBox, Select, Skeleton } from "@/ui";

import { tablePath } from "./names";
import type { Overview } from "./types";

type Dialect = "trino" | "spark";

/** The statement that makes the same table again. */
export function DdlTab({ overview }: { overview: Overview }): ReactNode {
  const { schema, name } = overview;
  const table = tablePath(schema, name);
  const [dialect, setDialect] = useState<Dialect>("trino");
  const ddl = useQuery({
    queryKey: ["data", "ddl", schema, name, dialect, overview.updated_ms],
    queryFn: ({ signal }) => api.get("/api/v1/tables/{table}/ddl", { path: { table }, query: { dialect }, signal }),
    retry: false,
  });
  return (
    <div className="flex min-h-0 flex-1 flex-col gap-3 overflow-auto p-3">
      <div className="flex items-center gap-2">
        <span className="w-32"><Select label="Dialect" value={dialect} onChange={(value) => setDialect(value === "spark" ? "spark" : "trino")}
          options={[{ value: "trino", label: "Trino" }, { value: "spark", label: "Spark" }]} /></span>
        {ddl.data && <Button size="sm" icon={Play} onClick={() => openQuery({ sql: ddl.data.sql, dialect, title: `Make ${name}` })}>Open in Query</Button>}
      </div>
      {ddl.error ? <ErrorBox error={ddl.error} onRetry={() => void ddl.refetch()} /> : ddl.data ? <CodeBlock code={ddl.data.sql} language="sql" /> : <Skeleton lines={10} />}
    </div>
  );
}
