import { House } from "lucide-react";

import { Page } from "@/shell/Page";
import { EmptyState } from "@/ui";

/** The Home page. */
export function HomePage() {
  return (
    <Page crumbs={[{ label: "Home" }]}>
      <EmptyState icon={House} title="Start here">
        What is in this lake, your own data, and the first query.
      </EmptyState>
    </Page>
  );
}
