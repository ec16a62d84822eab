import { Database, Eye, Table2, Upload } from "lucide-react";
import { api } from "@/api/client";
import type { Command, CommandSource } from "@/shell/commands";
import { go } from "@/shell/navigation";
import { pageOf } from "./names";

const ICONS = { schema: Database, table: Table2, view: Eye };

/** Palette: the Data page, loading files, and every table and schema by name. */
export const dataCommands: CommandSource = {
  commands: [
    { id: "data.import", title: "Load a file into a table", group: "Action", icon: Upload, keywords: "upload import csv parquet json", run: (ctx) => ctx.navigate("/import") },
  ],
  search: async (text, signal) => {
    const found = await api.get("/api/v1/find", { query: { q: text, limit: 12 }, signal });
    return found.map(
      (each): Command => ({
        id: `data.${each.schema}.${each.name ?? ""}`,
        title: each.name ? `${each.schema}.${each.name}` : each.schema,
        group: each.kind === "schema" ? "Schemas" : "Tables",
        icon: ICONS[each.kind],
        run: () => go(pageOf(each.schema, each.name)),
      }),
    );
  },
};
