import { Command as Cmd } from "cmdk";
import { Search } from "lucide-react";
import { Dialog } from "radix-ui";
import { useEffect, useMemo, useState } from "react";

import { isAbort } from "@/api/errors";
import { Kbd, toastError, useReturnFocus } from "@/ui";

import type { Command, CommandSource } from "./commands";
import { score } from "./commands";
import { go } from "./navigation";

const SEARCH_DELAY_MS = 120;
const MOST = 60;

/** Everything by typing: pages, tables, queries, actions. */
export function Palette(props: {
  open: boolean;
  onOpenChange: (open: boolean) => void;
  sources: readonly CommandSource[];
}) {
  const { open, onOpenChange, sources } = props;
  const [typed, setTyped] = useState("");
  const giveBack = useReturnFocus(open);
  const found = useFound(sources, open ? typed : "");
  const groups = useMemo(() => {
    const fixed = sources
      .flatMap((source) => source.commands)
      .map((command) => ({ command, points: score(command, typed) }))
      .filter(({ points }) => points > 0)
      .sort((one, other) => other.points - one.points)
      .map(({ command }) => command);
    const all = typed ? [...fixed.slice(0, 8), ...found, ...fixed.slice(8)] : fixed;
    const out = new Map<string, Command[]>();
    for (const command of all.slice(0, MOST)) {
      out.set(command.group, [...(out.get(command.group) ?? []), command]);
    }
    return out;
  }, [sources, typed, found]);
  const run = async (command: Command) => {
    onOpenChange(false);
    setTyped("");
    try {
      await command.run({ navigate: go });
    } catch (problem) {
      toastError(problem);
    }
  };
  return (
    <Dialog.Root open={open} onOpenChange={onOpenChange}>
      <Dialog.Portal>
        <Dialog.Overlay className="bg-overlay fixed inset-0 z-40" />
        <Dialog.Content
          aria-describedby={undefined}
          onCloseAutoFocus={giveBack}
          className="bg-surface animate-in fixed top-[12vh] left-1/2 z-40 w-[38rem] max-w-[calc(100vw-2rem)] -translate-x-1/2 overflow-hidden rounded-lg border shadow-pop"
        >
          <Dialog.Title className="sr-only">Search and commands</Dialog.Title>
          <Cmd shouldFilter={false} loop label="Search and commands">
      <div className="flex items-center gap-2 border-b px-3">
        <Search aria-hidden size={15} className="text-text-3" />
        <Cmd.Input
          autoFocus
          value={typed}
          onValueChange={setTyped}
          placeholder="Go to a page, find a table, run a command"
          className="h-11 flex-1 bg-transparent text-lg outline-none"
        />
        <Kbd keys="Esc" />
      </div>
      <Cmd.List className="max-h-[50vh] overflow-auto p-1.5">
        <Cmd.Empty className="text-text-2 px-3 py-6 text-center">
          Nothing is called “{typed}”, or nothing that you may see.
        </Cmd.Empty>
        {[...groups].map(([group, commands]) => (
          <Cmd.Group
            key={group}
            heading={group}
            className="[&_[cmdk-group-heading]]:text-text-3 [&_[cmdk-group-heading]]:px-2 [&_[cmdk-group-heading]]:py-1 [&_[cmdk-group-heading]]:text-sm"
          >
            {commands.map((command) => {
              const Icon = command.icon;
              return (
                <Cmd.Item
                  key={command.id}
                  value={command.id}
                  onSelect={() => void run(command)}
                  className="data-[selected=true]:bg-hover flex h-8 items-center gap-2.5 rounded-md px-2"
                >
                  {Icon && <Icon aria-hidden size={15} className="text-text-2 shrink-0" />}
                  <bdi className="truncate">{command.title}</bdi>
                  {command.detail && <bdi className="text-text-3 truncate text-sm">{command.detail}</bdi>}
                  <span className="flex-1" />
                  {command.keys && <Kbd keys={command.keys} />}
                </Cmd.Item>
              );
            })}
          </Cmd.Group>
        ))}
      </Cmd.List>
          </Cmd>
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  );
}

/** What the pages find for the typed text; the last answer stays until the next one. */
function useFound(sources: readonly CommandSource[], typed: string): Command[] {
  const [found, setFound] = useState<Command[]>([]);
  useEffect(() => {
    if (!typed.trim()) {
      setFound([]);
      return;
    }
    const aborter = new AbortController();
    const timer = setTimeout(() => {
      const searches = sources.flatMap((source) => (source.search ? [source.search] : []));
      void Promise.allSettled(searches.map((search) => search(typed.trim(), aborter.signal))).then((all) => {
        if (aborter.signal.aborted) return;
        setFound(all.flatMap((one) => (one.status === "fulfilled" ? one.value : [])));
        const failed = all.find((one) => one.status === "rejected" && !isAbort(one.reason));
        if (failed?.status === "rejected" && all.every((one) => one.status === "rejected")) toastError(failed.reason);
      });
    }, SEARCH_DELAY_MS);
    return () => {
      clearTimeout(timer);
      aborter.abort();
    };
  }, [sources, typed]);
  return found;
}
