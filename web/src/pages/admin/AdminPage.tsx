import { Settings } from "lucide-react";

import { Page } from "@/shell/Page";
import { EmptyState } from "@/ui";

/** The Admin page. */
export function AdminPage() {
  return (
    <Page crumbs={[{ label: "Admin" }]}>
      <EmptyState icon={Settings} title="The server itself">
        Health, settings in force, releases and processes.
      </EmptyState>
    </Page>
  );
}
