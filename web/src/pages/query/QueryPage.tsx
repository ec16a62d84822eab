import { SquareTerminal } from "lucide-react";

import { Page } from "@/shell/Page";
import { EmptyState } from "@/ui";

/** The Query page. */
export function QueryPage() {
  return (
    <Page crumbs={[{ label: "Query" }]}>
      <EmptyState icon={SquareTerminal} title="Ask the lake">
        SQL in three dialects, over what you may see.
      </EmptyState>
    </Page>
  );
}
