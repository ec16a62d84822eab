import { Activity } from "lucide-react";

import { api } from "@/api/client";
import type { CommandSource } from "@/shell/commands";

/** What the palette offers of the Runs page. */
export const runsCommands: CommandSource = {
  commands: [
    {
      id: "runs.failed",
      title: "Failed runs",
      group: "Go to",
      icon: Activity,
      keywords: "errors queries jobs",
      run: ({ navigate }) => navigate("/runs?phase=failed"),
    },
    {
      id: "runs.running",
      title: "Running now",
      group: "Go to",
      icon: Activity,
      keywords: "active queries jobs",
      run: ({ navigate }) => navigate("/runs?phase=running"),
    },
  ],
  search: async (text, signal) => {
    if (text.length < 3) return [];
    const page = await api.get("/api/v1/runs", { query: { q: text, limit: 5 }, signal });
    return page.rows.map((row) => ({
      id: `run.${row.id}`,
      title: row.title.slice(0, 120),
      detail: `${row.kind} · ${row.phase}`,
      group: "Runs",
      icon: Activity,
      run: ({ navigate }) => navigate(`/runs/${encodeURIComponent(row.id)}`),
    }));
  },
};
