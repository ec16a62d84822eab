import { Cpu, Package, Settings, Stethoscope } from "lucide-react";

import type { CommandSource } from "@/shell/commands";

const TABS = [
  { tab: "health", title: "Doctor: health of the server", icon: Stethoscope },
  { tab: "processes", title: "Processes", icon: Cpu },
  { tab: "releases", title: "Releases of Spark and Sail", icon: Package },
  { tab: "settings", title: "Settings in force", icon: Settings },
];

/** What the palette offers of the Admin page. */
export const adminCommands: CommandSource = {
  commands: TABS.map(({ tab, title, icon }) => ({
    id: `admin.${tab}`,
    title,
    icon,
    group: "Go to",
    keywords: "admin",
    run: ({ navigate }) => navigate(`/admin?tab=${tab}`),
  })),
};
