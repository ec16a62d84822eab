import type { CommandSource } from "@/shell/commands";

/** What the palette offers of the Governance page. */
export const governanceCommands: CommandSource = { commands: [] };
