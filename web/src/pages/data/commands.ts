import type { CommandSource } from "@/shell/commands";

/** What the palette offers of the Data page. */
export const dataCommands: CommandSource = { commands: [] };
