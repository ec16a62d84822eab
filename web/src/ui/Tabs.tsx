import type { LucideIcon } from "lucide-react";
import { Tabs as Primitive } from "radix-ui";
import type { ReactNode } from "react";

import { cx } from "./classes";
import { count as written } from "./format";

export interface TabItem {
  value: string;
  label: ReactNode;
  icon?: LucideIcon;
  count?: number | null;
}

export interface TabsProps {
  value: string;
  onChange: (value: string) => void;
  items: TabItem[];
  /** Right of the tabs. */
  actions?: ReactNode;
  /** What the row of tabs is about, for screen readers. */
  label?: string;
  /** True: the panel takes the rest of the height. */
  fill?: boolean;
  /** The panel of the chosen tab. */
  children?: ReactNode;
}

/** Tabs with the panel of the chosen one. */
export function Tabs({ value, onChange, items, actions, label, fill, children }: TabsProps) {
  return (
    <Primitive.Root
      value={value}
      onValueChange={onChange}
      className={cx("flex min-w-0 flex-col", fill && "min-h-0 flex-1")}
    >
      <div className="flex h-9 shrink-0 items-center gap-2 border-b px-3">
        <Primitive.List aria-label={label} className="flex h-full min-w-0 flex-1 items-center gap-1 overflow-x-auto overflow-y-hidden">
          {items.map(({ value: name, label: shown, icon: Icon, count }) => (
            <Primitive.Trigger
              key={name}
              value={name}
              className={cx(
                "text-text-2 hover:text-text relative flex h-full items-center gap-1.5 px-2 whitespace-nowrap",
                "data-[state=active]:text-text data-[state=active]:font-medium outline-offset-[-3px]",
                "after:absolute after:inset-x-2 after:bottom-0 after:h-0.5 after:rounded-full",
                "data-[state=active]:after:bg-accent",
              )}
            >
              {Icon && <Icon aria-hidden size={14} />}
              {shown}
              {count != null && <span className="text-text-3 text-sm tabular-nums">{written(count)}</span>}
            </Primitive.Trigger>
          ))}
        </Primitive.List>
        {actions}
      </div>
      <Primitive.Content
        value={value}
        tabIndex={-1}
        className={cx("min-w-0 outline-none", fill && "flex min-h-0 flex-1 flex-col")}
      >
        {children}
      </Primitive.Content>
    </Primitive.Root>
  );
}
