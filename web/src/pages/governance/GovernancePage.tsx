import { Page } from "@/shell/Page";
import { useUrl } from "@/shell/url";
import { Tabs } from "@/ui";

import { Audit } from "./Audit";
import { Grants } from "./Grants";
import { Locations } from "./Locations";
import { Policies } from "./Policies";
import { Principals } from "./Principals";
import { ViewAs } from "./ViewAs";

const TABS = [
  { value: "grants", label: "Grants" },
  { value: "principals", label: "Users and roles" },
  { value: "policies", label: "Filters and masks" },
  { value: "view-as", label: "View as" },
  { value: "locations", label: "Locations" },
  { value: "audit", label: "Audit" },
];
const PANELS = {
  grants: Grants,
  principals: Principals,
  policies: Policies,
  "view-as": ViewAs,
  locations: Locations,
  audit: Audit,
};

/** Who may see what, why, and what they did. */
export function GovernancePage() {
  const [{ tab = "grants" }, setUrl] = useUrl<Record<string, string | undefined>>();
  const Panel = PANELS[tab as keyof typeof PANELS] ?? Grants;
  const change = (value: string) =>
    setUrl({
      tab: value, q: undefined, schema: undefined, principal: undefined, user: undefined, role: undefined,
      table: undefined, kind: undefined, outcome: undefined, who: undefined, since: undefined,
    });
  return (
    <Page crumbs={[{ label: "Governance" }]} scroll={false}>
      <Tabs fill label="Governance" value={tab} onChange={change} items={TABS}>
        <div className="flex min-h-0 flex-1 flex-col">
          <Panel />
        </div>
      </Tabs>
    </Page>
  );
}
