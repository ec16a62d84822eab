import type { LucideIcon } from "lucide-react";

export interface CommandContext {
  navigate: (to: string) => void;
}

/** Something that the palette offers. */
export interface Command {
  id: string;
  title: string;
  group: string;
  icon?: LucideIcon;
  detail?: string;
  keys?: string;
  keywords?: string;
  run: (context: CommandContext) => void | Promise<unknown>;
}

/** A page's commands; `search` finds more while somebody types. */
export interface CommandSource {
  commands: Command[];
  search?: (text: string, signal: AbortSignal) => Promise<Command[]>;
}

/** How well a text answers what was typed; 0 when it does not. Every word must be found. */
export function score(command: Command, typed: string): number {
  const text = `${command.title} ${command.keywords ?? ""} ${command.group}`.toLowerCase();
  let total = 1;
  for (const word of typed.toLowerCase().split(/\s+/).filter(Boolean)) {
    const at = text.indexOf(word);
    if (at < 0) return 0;
    total += at === 0 ? 4 : text[at - 1] === " " ? 2 : 1;
  }
  return total;
}
