import type { CommandSource } from "@/shell/commands";

/** What the palette offers of the Home page. */
export const homeCommands: CommandSource = { commands: [] };
