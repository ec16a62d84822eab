import { Pencil } from "lucide-react";
import { type KeyboardEvent, type ReactNode, useEffect, useRef, useState } from "react";

import { cx } from "@/ui";

interface InlineTextProps {
  value: string | null;
  /** What the text is: its accessible name. */
  label: string;
  placeholder: string;
  editable: boolean;
  onSave: (text: string | null) => Promise<unknown>;
  className?: string;
}

/** A text that is edited where it stands: Enter keeps it, Esc leaves it as it was. */
export function InlineText({ value, label, placeholder, editable, onSave, className }: InlineTextProps): ReactNode {
  const [draft, setDraft] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  const editing = draft !== null;
  useEffect(() => {
    if (editing) input.current?.select();
  }, [editing]);
  if (!editable) {
    return (
      <span className={cx("text-text-2 truncate", className)} title={value ?? undefined}>
        <bdi>{value ?? ""}</bdi>
      </span>
    );
  }
  const save = async () => {
    if (draft === null || busy) return;
    const text = draft.trim() || null;
    if (text === (value ?? null)) {
      setDraft(null);
      return;
    }
    setBusy(true);
    try {
      await onSave(text);
      setDraft(null);
    } catch {
      // The page has told why; what was typed stays here to be tried again.
      input.current?.focus();
    } finally {
      setBusy(false);
    }
  };
  const key = (event: KeyboardEvent) => {
    event.stopPropagation();
    if (event.key === "Enter") void save();
    if (event.key === "Escape") setDraft(null);
  };
  if (editing) {
    return (
      <input
        ref={input}
        aria-label={label}
        value={draft}
        maxLength={10_000}
        readOnly={busy}
        onChange={(event) => setDraft(event.target.value)}
        onKeyDown={key}
        onBlur={() => void save()}
        onClick={(event) => event.stopPropagation()}
        className={cx("bg-surface border-accent h-6 w-full min-w-0 rounded-sm border px-1.5", className)}
      />
    );
  }
  return (
    <button
      type="button"
      aria-label={`Edit ${label}`}
      title={value ?? placeholder}
      onClick={(event) => {
        event.stopPropagation();
        setDraft(value ?? "");
      }}
      className={cx(
        "hover:bg-hover group/edit -mx-1.5 inline-flex max-w-full min-w-0 cursor-text items-center gap-1.5 rounded-sm px-1.5 text-left",
        value ? "text-text-2" : "text-text-3",
        className,
      )}
    >
      <bdi className={cx("truncate", !value && "opacity-0 group-hover/edit:opacity-100 group-focus-visible/edit:opacity-100")}>
        {value ?? placeholder}
      </bdi>
      <Pencil aria-hidden size={11} className="text-text-3 shrink-0 opacity-0 group-hover/edit:opacity-100" />
    </button>
  );
}
