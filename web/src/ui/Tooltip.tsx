import { Tooltip as Primitive } from "radix-ui";
import type { ReactNode } from "react";

import { Kbd } from "./Kbd";

export interface TooltipProps {
  text: ReactNode;
  keys?: string;
  side?: "top" | "right" | "bottom" | "left";
  children: ReactNode;
}

/** A short explanation on hover and on focus. */
export function Tooltip({ text, keys, side = "bottom", children }: TooltipProps) {
  return (
    <Primitive.Root delayDuration={350}>
      <Primitive.Trigger asChild>{children}</Primitive.Trigger>
      <Primitive.Portal>
        <Primitive.Content
          side={side}
          sideOffset={5}
          collisionPadding={8}
          className="bg-text text-bg z-50 flex max-w-80 items-center gap-2 rounded-md px-2 py-1 text-sm shadow-pop break-words"
        >
          {text}
          {keys && <Kbd keys={keys} inverse />}
        </Primitive.Content>
      </Primitive.Portal>
    </Primitive.Root>
  );
}

export const TooltipProvider = Primitive.Provider;
