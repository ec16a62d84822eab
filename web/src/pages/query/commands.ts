import { Plus } from "lucide-react";

import type { CommandSource } from "@/shell/commands";
import { openQuery } from "@/shell/openQuery";

/** What the palette offers of the Query page. */
export const queryCommands: CommandSource = {
  commands: [
    {
      id: "query:new",
      title: "New query",
      group: "Query",
      icon: Plus,
      keywords: "sql editor tab",
      run: () => openQuery({ sql: "" }),
    },
  ],
};
