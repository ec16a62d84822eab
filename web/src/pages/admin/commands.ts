import type { CommandSource } from "@/shell/commands";

/** What the palette offers of the Admin page. */
export const adminCommands: CommandSource = { commands: [] };
