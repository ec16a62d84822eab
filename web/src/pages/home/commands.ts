import { Cable } from "lucide-react";

import type { CommandSource } from "@/shell/commands";

/** What the palette offers of the Home page: the shell itself goes there. */
export const homeCommands: CommandSource = {
  commands: [
    { id: "home.connect", title: "Connect an Iceberg REST catalog", group: "Action", icon: Cable, keywords: "polaris lakekeeper nessie link external federation", run: (ctx) => ctx.navigate("/connect") },
  ],
};
