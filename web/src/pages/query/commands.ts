import { Bookmark, Plus } from "lucide-react";

import { api } from "@/api/client";
import { type Command, type CommandSource, score } from "@/shell/commands";
import { go } from "@/shell/navigation";
import { openQuery, pageOfSaved } from "@/shell/openQuery";

const MOST = 8;

/** What the palette offers of the Query page: a new query, and saved ones by name. */
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
  search: async (text, signal) => {
    const saved = await api.get("/api/v1/saved-queries", { signal });
    return saved
      .map((query): Command => ({
        id: `query:saved:${query.id}`,
        title: query.name,
        group: "Saved queries",
        icon: Bookmark,
        detail: query.mine ? undefined : query.owner,
        keywords: query.description,
        run: () => go(pageOfSaved(query.id)),
      }))
      .filter((command) => score(command, text) > 0)
      .slice(0, MOST);
  },
};
