import { CircleAlert, CircleCheck, Info, X } from "lucide-react";
import type { ReactNode } from "react";
import { useSyncExternalStore } from "react";

import { explain } from "@/api/errors";

import { Button, IconButton } from "./Button";
import { cx } from "./classes";

interface Notice {
  id: number;
  message: ReactNode;
  tone: "ok" | "bad" | "info";
  detail?: ReactNode;
  undo?: () => void | Promise<unknown>;
}

let notices: readonly Notice[] = [];
let last = 0;
const listeners = new Set<() => void>();

function change(next: readonly Notice[]) {
  notices = next;
  for (const listener of listeners) listener();
}

function dismiss(id: number) {
  change(notices.filter((notice) => notice.id !== id));
}

/** Tells what was done, for a few seconds; `undo` takes it back. */
export function toast(
  message: ReactNode,
  options: { tone?: Notice["tone"]; detail?: ReactNode; undo?: Notice["undo"] } = {},
): void {
  last += 1;
  const notice: Notice = { id: last, message, tone: options.tone ?? "ok", ...options };
  change([...notices.slice(-3), notice]);
  const seconds = notice.undo || notice.tone === "bad" ? 9 : 4.5;
  setTimeout(() => dismiss(notice.id), seconds * 1000);
}

/** Tells of an error that has no place of its own on the page. */
export function toastError(error: unknown): void {
  const { message, hint } = explain(error);
  toast(message, { tone: "bad", detail: hint });
}

const ICONS = { ok: CircleCheck, bad: CircleAlert, info: Info };
const COLOURS = { ok: "text-ok", bad: "text-bad", info: "text-info" };

function subscribe(listener: () => void) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Where toasts appear; once, in the shell. */
export function Toaster() {
  const shown = useSyncExternalStore(subscribe, () => notices);
  return (
    <div aria-live="polite" className="pointer-events-none fixed right-4 bottom-4 z-50 flex w-96 max-w-[calc(100vw-2rem)] flex-col gap-2">
      {shown.map((notice) => {
        const Icon = ICONS[notice.tone];
        const undo = notice.undo;
        return (
          <div
            key={notice.id}
            role={notice.tone === "bad" ? "alert" : undefined}
            className="bg-surface animate-in pointer-events-auto flex items-start gap-2.5 rounded-lg border py-2 pr-2 pl-3 shadow-pop"
          >
            <Icon aria-hidden size={16} className={cx("mt-1 shrink-0", COLOURS[notice.tone])} />
            <div className="min-w-0 flex-1 py-0.5 break-words">
              {notice.message}
              {notice.detail && <div className="text-text-2 text-sm">{notice.detail}</div>}
            </div>
            {undo && (
              <Button
                size="sm"
                variant="ghost"
                onClick={() => {
                  dismiss(notice.id);
                  Promise.resolve(undo()).catch(toastError);
                }}
              >
                Undo
              </Button>
            )}
            <IconButton icon={X} label="Dismiss" size="sm" onClick={() => dismiss(notice.id)} />
          </div>
        );
      })}
    </div>
  );
}
