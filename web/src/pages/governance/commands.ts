import { Eye, FileSearch, Filter, FolderLock, Grid3x3, Users } from "lucide-react";

import type { CommandSource } from "@/shell/commands";

const TABS = [
  { tab: "grants", title: "Grants matrix", icon: Grid3x3, keywords: "privileges permissions" },
  { tab: "principals", title: "Users and roles", icon: Users, keywords: "principals members" },
  { tab: "policies", title: "Row filters and column masks", icon: Filter, keywords: "policies" },
  { tab: "view-as", title: "View as another user", icon: Eye, keywords: "impersonate side by side" },
  { tab: "locations", title: "Access to locations", icon: FolderLock, keywords: "files s3" },
  { tab: "audit", title: "Audit log", icon: FileSearch, keywords: "events decisions" },
];

/** What the palette offers of the Governance page. */
export const governanceCommands: CommandSource = {
  commands: TABS.map(({ tab, ...rest }) => ({
    id: `governance.${tab}`,
    group: "Go to",
    ...rest,
    run: ({ navigate }) => navigate(`/governance?tab=${tab}`),
  })),
};
