import { Database } from "lucide-react";

import { Page } from "@/shell/Page";
import { EmptyState } from "@/ui";

/** The Data page. */
export function DataPage() {
  return (
    <Page crumbs={[{ label: "Data" }]}>
      <EmptyState icon={Database} title="Browse the lake">
        Catalogs, schemas and tables, with what you may see of each.
      </EmptyState>
    </Page>
  );
}
