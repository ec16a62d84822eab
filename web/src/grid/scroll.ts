import type { RefObject } from "react";
import { useCallback, useEffect, useRef, useState } from "react";

// Browsers stop at some 17 to 33 million pixels; a scroller of more rows than that is compressed:
// dragging the bar covers everything, while the wheel still moves by single rows.

export const ROW = 26;
export const HEADER = 40;
const TALLEST = 12_000_000;

export interface Scroll {
  /** First pixel of the rows, as if the scroller were as tall as all of them. */
  top: number;
  left: number;
  width: number;
  /** Height for rows, without the header. */
  height: number;
}

/** The scroller's state, in pixels of the uncompressed rows, and how to move it. */
export function useScroll(box: RefObject<HTMLDivElement | null>, rows: number) {
  const [scroll, setScroll] = useState<Scroll>({ top: 0, left: 0, width: 0, height: 0 });
  const full = rows * ROW;
  const tall = Math.min(full, TALLEST);
  const measures = useRef({ full, tall });
  measures.current = { full, tall };
  // The true position where the bar alone cannot tell it: set by the wheel and by keys.
  const exact = useRef<{ bar: number; top: number } | null>(null);

  const read = useCallback(() => {
    const element = box.current;
    if (!element) return;
    const height = Math.max(0, element.clientHeight - HEADER);
    const { full: all, tall: drawn } = measures.current;
    const bar = element.scrollTop;
    let top = bar;
    if (all > drawn) {
      const known = exact.current;
      const room = drawn - height;
      if (known && Math.abs(known.bar - bar) < 1.5) top = known.top;
      else {
        exact.current = null;
        top = room > 0 ? (bar / room) * (all - height) : 0;
      }
    }
    setScroll((now) => {
      const next = { top, left: element.scrollLeft, width: element.clientWidth, height };
      const same =
        now.top === next.top && now.left === next.left && now.width === next.width && now.height === next.height;
      return same ? now : next;
    });
  }, [box]);

  const moveTo = useCallback(
    (wanted: number) => {
      const element = box.current;
      if (!element) return;
      const height = Math.max(0, element.clientHeight - HEADER);
      const { full: all, tall: drawn } = measures.current;
      const top = Math.max(0, Math.min(all - height, wanted));
      if (all <= drawn) element.scrollTop = top;
      else {
        const bar = (top / Math.max(1, all - height)) * (drawn - height);
        element.scrollTop = bar;
        exact.current = { bar: element.scrollTop, top };
      }
      read();
    },
    [box, read],
  );

  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const wheel = (event: WheelEvent) => {
      const { full: all, tall: drawn } = measures.current;
      if (all <= drawn || event.ctrlKey || event.shiftKey || event.deltaY === 0) return;
      event.preventDefault();
      const unit = event.deltaMode === 1 ? ROW : event.deltaMode === 2 ? element.clientHeight : 1;
      const height = Math.max(0, element.clientHeight - HEADER);
      const room = drawn - height;
      const top = exact.current?.top ?? (element.scrollTop / Math.max(1, room)) * (all - height);
      moveTo(top + event.deltaY * unit);
    };
    const observer = new ResizeObserver(read);
    observer.observe(element);
    element.addEventListener("scroll", read, { passive: true });
    element.addEventListener("wheel", wheel, { passive: false });
    read();
    return () => {
      observer.disconnect();
      element.removeEventListener("scroll", read);
      element.removeEventListener("wheel", wheel);
    };
  }, [box, read, moveTo]);

  useEffect(read, [read, rows]);
  return { scroll, tall, moveTo };
}
