import { Dialog, Kbd } from "@/ui";

import { useKeyHelp } from "./keys";

/** The sheet of shortcuts that work where one is. */
export function Help({ open, onOpenChange }: { open: boolean; onOpenChange: (open: boolean) => void }) {
  const known = useKeyHelp();
  const groups = new Map<string, { keys: string; label: string }[]>();
  for (const entry of known) groups.set(entry.group, [...(groups.get(entry.group) ?? []), entry]);
  return (
    <Dialog open={open} onOpenChange={onOpenChange} title="Keyboard shortcuts" width="lg">
      <div className="grid gap-x-10 gap-y-5 pb-3 sm:grid-cols-2">
        {[...groups].map(([group, entries]) => (
          <section key={group}>
            <h3 className="text-text-2 mb-1 text-sm font-semibold">{group}</h3>
            <ul>
              {entries.map((entry) => (
                <li key={entry.keys} className="flex h-7 items-center justify-between border-b last:border-0">
                  {entry.label}
                  <Kbd keys={entry.keys} />
                </li>
              ))}
            </ul>
          </section>
        ))}
      </div>
    </Dialog>
  );
}
