import type { CommandSource } from "@/shell/commands";

/** What the palette offers of the Runs page. */
export const runsCommands: CommandSource = { commands: [] };
