import { X } from "lucide-react";
import { Dialog as Primitive } from "radix-ui";
import type { ReactNode } from "react";
import { useRef, useState } from "react";

import { Button, IconButton } from "./Button";
import { cx } from "./classes";
import { ErrorBox } from "./ErrorBox";

const WIDTHS = { sm: "max-w-sm", md: "max-w-lg", lg: "max-w-3xl", xl: "max-w-6xl" };

export interface DialogProps {
  open: boolean;
  onOpenChange: (open: boolean) => void;
  title: ReactNode;
  description?: ReactNode;
  footer?: ReactNode;
  width?: keyof typeof WIDTHS;
  /** False: neither Esc nor a click beside it closes it. */
  dismissable?: boolean;
  children?: ReactNode;
}

/** Where the focus was before a dialog opened, and a handler that gives it back after it. */
export function useReturnFocus(open: boolean): (event: Event) => void {
  const before = useRef<Element | null>(null);
  const was = useRef(false);
  if (open && !was.current) before.current = document.activeElement;
  was.current = open;
  return (event) => {
    event.preventDefault();
    if (before.current instanceof HTMLElement && before.current.isConnected) before.current.focus();
  };
}

function focusFirst(event: Event) {
  event.preventDefault();
  const content = event.currentTarget as HTMLElement;
  const field = content.querySelector<HTMLElement>("input, textarea, [role=combobox]");
  (field ?? content).focus();
}

/** A window above the page; focus stays in it and comes back after it. */
export function Dialog(props: DialogProps) {
  const { open, onOpenChange, title, description, footer, width = "md", dismissable = true } = props;
  const giveBack = useReturnFocus(open);
  const hold = (event: Event) => {
    if (!dismissable) event.preventDefault();
  };
  return (
    <Primitive.Root open={open} onOpenChange={onOpenChange}>
      <Primitive.Portal>
        <Primitive.Overlay className="bg-overlay fixed inset-0 z-40" />
        <Primitive.Content
          onOpenAutoFocus={focusFirst}
          onCloseAutoFocus={giveBack}
          onEscapeKeyDown={hold}
          onPointerDownOutside={hold}
          onInteractOutside={hold}
          {...(description ? {} : { "aria-describedby": undefined })}
          className={cx(
            "bg-surface animate-in fixed top-[12vh] left-1/2 z-40 flex max-h-[80vh] w-[calc(100vw-2rem)]",
            "-translate-x-1/2 flex-col rounded-lg border shadow-pop outline-none",
            WIDTHS[width],
          )}
        >
          <header className="flex items-start gap-3 px-4 pt-3.5 pb-2">
            <div className="min-w-0 flex-1">
              <Primitive.Title className="text-lg font-semibold break-words">{title}</Primitive.Title>
              {description && (
                <Primitive.Description className="text-text-2 mt-0.5">{description}</Primitive.Description>
              )}
            </div>
            {dismissable && (
              <Primitive.Close asChild>
                <IconButton icon={X} label="Close" keys="Esc" size="sm" />
              </Primitive.Close>
            )}
          </header>
          <div className="min-h-0 flex-1 overflow-auto px-4 py-2">{props.children}</div>
          {footer && (
            <footer className="flex items-center justify-end gap-2 border-t px-4 py-3">{footer}</footer>
          )}
        </Primitive.Content>
      </Primitive.Portal>
    </Primitive.Root>
  );
}

export interface ConfirmProps {
  open: boolean;
  onOpenChange: (open: boolean) => void;
  title: ReactNode;
  /** The label of what will be done. */
  action: string;
  danger?: boolean;
  onConfirm: () => void | Promise<unknown>;
  children?: ReactNode;
}

/** Asks before what cannot be undone; an error of the action is shown in place. */
export function Confirm({ open, onOpenChange, title, action, danger, onConfirm, children }: ConfirmProps) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const run = async () => {
    setBusy(true);
    setError(null);
    try {
      await onConfirm();
      onOpenChange(false);
    } catch (problem) {
      setError(problem);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Dialog
      open={open}
      onOpenChange={onOpenChange}
      title={title}
      width="sm"
      footer={
        <>
          <Button onClick={() => onOpenChange(false)}>Cancel</Button>
          <Button variant={danger ? "danger" : "primary"} busy={busy} onClick={() => void run()}>
            {action}
          </Button>
        </>
      }
    >
      <div className="text-text-2 flex flex-col gap-3">
        {children}
        {error != null && <ErrorBox error={error} />}
      </div>
    </Dialog>
  );
}
