import { useParams } from "@tanstack/react-router";
import { FolderTree, Upload } from "lucide-react";
import type { ReactNode } from "react";
import { go } from "@/shell/navigation";
import { Page } from "@/shell/Page";
import { Button, EmptyState, Split } from "@/ui";
import { pageOf } from "./names";
import { SchemaView } from "./SchemaView";
import { TableView } from "./TableView";
import { Tree } from "./Tree";

/** Everything in the lake that the viewer sees: the tree, and what is chosen in it. */
export function DataPage(): ReactNode {
  const { schema, table } = useParams({ strict: false }) as { schema?: string; table?: string };
  const crumbs = [
    { label: "Data", to: "/data" },
    ...(schema ? [{ label: schema, to: pageOf(schema) }] : []),
    ...(schema && table ? [{ label: table }] : []),
  ];
  return (
    <Page
      crumbs={crumbs}
      scroll={false}
      actions={
        <Button icon={Upload} size="sm" onClick={() => go(schema ? `/import?schema=${encodeURIComponent(schema)}` : "/import")}>
          Load a file
        </Button>
      }
    >
      <Split direction="row" storageKey="data.tree" initial={0.2}>
        <Tree schema={schema} table={table} />
        {schema && table ? (
          <TableView key={`${schema}/${table}`} schema={schema} table={table} />
        ) : schema ? (
          <SchemaView key={schema} schema={schema} />
        ) : (
          <EmptyState icon={FolderTree} title="Choose a table">
            Tables live in schemas: open one on the left, type to search, or press Ctrl+K from anywhere.
          </EmptyState>
        )}
      </Split>
    </Page>
  );
}
