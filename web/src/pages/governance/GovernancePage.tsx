import { ShieldCheck } from "lucide-react";

import { Page } from "@/shell/Page";
import { EmptyState } from "@/ui";

/** The Governance page. */
export function GovernancePage() {
  return (
    <Page crumbs={[{ label: "Governance" }]}>
      <EmptyState icon={ShieldCheck} title="Who may see what">
        Principals, grants, row filters and masks, and the audit log.
      </EmptyState>
    </Page>
  );
}
