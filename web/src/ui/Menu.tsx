import type { LucideIcon } from "lucide-react";
import { Check } from "lucide-react";
import { ContextMenu as Context, DropdownMenu as Dropdown, Popover as Pop } from "radix-ui";
import type { ReactNode } from "react";

import { cx } from "./classes";
import { Kbd } from "./Kbd";

export type MenuItem =
  | "separator"
  | { heading: string }
  | {
      label: ReactNode;
      icon?: LucideIcon;
      keys?: string;
      danger?: boolean;
      disabled?: boolean;
      checked?: boolean;
      onSelect: () => void;
    };

const PANEL =
  "bg-surface animate-in z-50 max-h-[min(60vh,var(--radix-popper-available-height))] min-w-44 overflow-auto rounded-md border p-1 shadow-pop";
const ROW =
  "flex h-7 items-center gap-2 rounded-sm px-2 outline-none select-none data-[highlighted]:bg-hover data-[disabled]:opacity-45";

type Family = typeof Dropdown | typeof Context;

function items(family: Family, list: MenuItem[]) {
  const { Item, Label, Separator } = family;
  const checkable = list.some((item) => typeof item === "object" && "checked" in item);
  return list.map((item, index) => {
    if (item === "separator") return <Separator key={index} className="bg-border my-1 h-px" />;
    if ("heading" in item) {
      return (
        <Label key={index} className="text-text-3 px-2 py-1 text-sm">
          {item.heading}
        </Label>
      );
    }
    const { label, icon: Icon, keys, danger, disabled, checked, onSelect } = item;
    return (
      <Item key={index} disabled={disabled} onSelect={onSelect} className={cx(ROW, danger && "text-bad")}>
        {checkable && <Check aria-hidden size={14} className={checked ? "" : "invisible"} />}
        {Icon && <Icon aria-hidden size={14} className={danger ? "" : "text-text-2"} />}
        <span className="min-w-0 flex-1 truncate pr-4">{label}</span>
        {keys && <Kbd keys={keys} />}
      </Item>
    );
  });
}

/** A menu that opens from its trigger, an element such as a Button. */
export function Menu(props: { trigger: ReactNode; items: MenuItem[]; align?: "start" | "end" }) {
  return (
    <Dropdown.Root modal={false}>
      <Dropdown.Trigger asChild>{props.trigger}</Dropdown.Trigger>
      <Dropdown.Portal>
        <Dropdown.Content align={props.align ?? "start"} sideOffset={4} collisionPadding={8} className={PANEL}>
          {items(Dropdown, props.items)}
        </Dropdown.Content>
      </Dropdown.Portal>
    </Dropdown.Root>
  );
}

/** A menu that opens on a right click on `children`, one element. */
export function ContextMenu(props: { items: MenuItem[]; children: ReactNode }) {
  return (
    <Context.Root modal={false}>
      <Context.Trigger asChild>{props.children}</Context.Trigger>
      <Context.Portal>
        <Context.Content collisionPadding={8} className={PANEL}>
          {items(Context, props.items)}
        </Context.Content>
      </Context.Portal>
    </Context.Root>
  );
}

export interface PopoverProps {
  trigger: ReactNode;
  children: ReactNode;
  align?: "start" | "center" | "end";
  open?: boolean;
  onOpenChange?: (open: boolean) => void;
  className?: string;
}

/** A small panel beside its trigger. */
export function Popover({ trigger, children, align = "start", open, onOpenChange, className }: PopoverProps) {
  return (
    <Pop.Root open={open} onOpenChange={onOpenChange}>
      <Pop.Trigger asChild>{trigger}</Pop.Trigger>
      <Pop.Portal>
        <Pop.Content
          align={align}
          sideOffset={4}
          collisionPadding={8}
          className={cx("bg-surface animate-in z-50 w-72 rounded-md border p-3 shadow-pop outline-none", className)}
        >
          {children}
        </Pop.Content>
      </Pop.Portal>
    </Pop.Root>
  );
}
