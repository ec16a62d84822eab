import type { CommandSource } from "@/shell/commands";

/** What the palette offers of the Home page: the shell itself goes there. */
export const homeCommands: CommandSource = { commands: [] };
