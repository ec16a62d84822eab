import { Activity } from "lucide-react";

import { Page } from "@/shell/Page";
import { EmptyState } from "@/ui";

/** The Runs page. */
export function RunsPage() {
  return (
    <Page crumbs={[{ label: "Runs" }]}>
      <EmptyState icon={Activity} title="Queries and jobs">
        Everything that runs or ran, with its logs and its cost.
      </EmptyState>
    </Page>
  );
}
