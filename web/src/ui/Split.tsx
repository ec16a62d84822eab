import type { KeyboardEvent, PointerEvent, ReactNode } from "react";
import { useRef } from "react";

import { useStored } from "@/shell/stored";

import { cx } from "./classes";

export interface SplitProps {
  /** "row": side by side; "column": one above the other. */
  direction: "row" | "column";
  /** Where the share is remembered. */
  storageKey: string;
  /** The first part's share of 1. */
  initial?: number;
  children: [ReactNode, ReactNode];
}

const LEAST = 0.08;
const STEP = 0.03;

/** Two parts with a bar between them that is dragged, or moved by the arrow keys. */
export function Split({ direction, storageKey, initial = 0.5, children }: SplitProps) {
  const [share, setShare] = useStored(`split.${storageKey}`, initial);
  const box = useRef<HTMLDivElement>(null);
  const row = direction === "row";
  const put = (value: number) => setShare(Math.min(1 - LEAST, Math.max(LEAST, value)));
  const drag = (event: PointerEvent<HTMLDivElement>) => {
    const bounds = box.current?.getBoundingClientRect();
    if (!bounds || !event.currentTarget.hasPointerCapture(event.pointerId)) return;
    put(
      row
        ? (event.clientX - bounds.left) / bounds.width
        : (event.clientY - bounds.top) / bounds.height,
    );
  };
  const key = (event: KeyboardEvent) => {
    const less = row ? "ArrowLeft" : "ArrowUp";
    const more = row ? "ArrowRight" : "ArrowDown";
    if (event.key === less) put(share - STEP);
    else if (event.key === more) put(share + STEP);
    else return;
    event.preventDefault();
  };
  return (
    <div ref={box} className={cx("flex min-h-0 min-w-0 flex-1", row ? "flex-row" : "flex-col")}>
      <div
        className="flex min-h-0 min-w-0 flex-col overflow-hidden"
        style={{ flex: `${share} 1 0` }}
      >
        {children[0]}
      </div>
      <div
        role="separator"
        tabIndex={0}
        aria-label="Resize"
        aria-orientation={row ? "vertical" : "horizontal"}
        aria-valuenow={Math.round(share * 100)}
        aria-valuemin={LEAST * 100}
        aria-valuemax={100 - LEAST * 100}
        onPointerDown={(event) => event.currentTarget.setPointerCapture(event.pointerId)}
        onPointerMove={drag}
        onDoubleClick={() => put(initial)}
        onKeyDown={key}
        className={cx(
          "bg-border hover:bg-accent focus-visible:bg-accent relative z-10 shrink-0 touch-none outline-none transition-colors",
          "after:absolute",
          row
            ? "w-px cursor-col-resize after:inset-y-0 after:-left-1 after:w-2.5"
            : "h-px cursor-row-resize after:inset-x-0 after:-top-1 after:h-2.5",
        )}
      />
      <div
        className="flex min-h-0 min-w-0 flex-col overflow-hidden"
        style={{ flex: `${1 - share} 1 0` }}
      >
        {children[1]}
      </div>
    </div>
  );
}
