import type { LucideIcon } from "lucide-react";
import { Search, X } from "lucide-react";
import type { InputHTMLAttributes, ReactNode, Ref, TextareaHTMLAttributes } from "react";
import { createContext, use, useId } from "react";

import { cx } from "./classes";

interface FieldIds {
  id: string;
  describedBy: string | undefined;
  invalid: boolean;
}

const Within = createContext<FieldIds | null>(null);

/** What the control inside a Field takes over from it. */
export function useField(): {
  id?: string;
  "aria-describedby"?: string;
  "aria-invalid"?: boolean;
} {
  const ids = use(Within);
  if (!ids) return {};
  return {
    id: ids.id,
    "aria-describedby": ids.describedBy,
    "aria-invalid": ids.invalid || undefined,
  };
}

export interface FieldProps {
  label: ReactNode;
  hint?: ReactNode;
  error?: ReactNode;
  required?: boolean;
  className?: string;
  children: ReactNode;
}

/** A labelled control with its hint or its error. */
export function Field({ label, hint, error, required, className, children }: FieldProps) {
  const id = useId();
  const described = error || hint ? `${id}-about` : undefined;
  return (
    <div className={cx("flex min-w-0 flex-col gap-1", className)}>
      <label htmlFor={id} className="text-text-2 text-sm font-medium">
        {label}
        {required && <span className="text-text-3"> (required)</span>}
      </label>
      <Within value={{ id, describedBy: described, invalid: Boolean(error) }}>{children}</Within>
      {described && (
        <p id={described} className={cx("text-sm", error ? "text-bad" : "text-text-3")}>
          {error || hint}
        </p>
      )}
    </div>
  );
}

export const CONTROL =
  "bg-surface text-text min-w-0 rounded-md border border-border-2 px-2 " +
  "focus-visible:outline-offset-[-1px] aria-invalid:border-bad disabled:opacity-50";

export interface InputProps extends InputHTMLAttributes<HTMLInputElement> {
  icon?: LucideIcon;
  ref?: Ref<HTMLInputElement>;
}

/** One line of text. */
export function Input({ icon: Icon, className, ...rest }: InputProps) {
  const field = useField();
  const input = (
    <input
      spellCheck={false}
      autoComplete="off"
      {...field}
      {...rest}
      className={cx(CONTROL, "h-7", Icon && "pl-7", className ?? "w-full")}
    />
  );
  if (!Icon) return input;
  return (
    <span className="relative block min-w-0">
      <Icon aria-hidden size={14} className="text-text-3 pointer-events-none absolute top-1.5 left-2" />
      {input}
    </span>
  );
}

export interface SearchInputProps {
  value: string;
  onChange: (value: string) => void;
  placeholder?: string;
  /** Its accessible name; the placeholder when it is left out. */
  label?: string;
  className?: string;
  autoFocus?: boolean;
  ref?: Ref<HTMLInputElement>;
}

/** A search box that Esc empties. */
export function SearchInput({ value, onChange, placeholder = "Search", label, className, ...rest }: SearchInputProps) {
  return (
    <span className={cx("relative block min-w-0", className)}>
      <Search aria-hidden size={14} className="text-text-3 pointer-events-none absolute top-1.5 left-2" />
      <input
        type="text"
        role="searchbox"
        spellCheck={false}
        autoComplete="off"
        aria-label={label ?? placeholder}
        placeholder={placeholder}
        value={value}
        onChange={(event) => onChange(event.target.value)}
        onKeyDown={(event) => {
          if (event.key === "Escape" && value) {
            event.stopPropagation();
            onChange("");
          }
        }}
        {...rest}
        className={cx(CONTROL, "h-7 w-full px-7")}
      />
      {value && (
        <button
          type="button"
          aria-label="Clear the search"
          onClick={() => onChange("")}
          className="text-text-3 hover:text-text absolute top-1.5 right-1.5"
        >
          <X aria-hidden size={14} />
        </button>
      )}
    </span>
  );
}

export interface TextareaProps extends TextareaHTMLAttributes<HTMLTextAreaElement> {
  ref?: Ref<HTMLTextAreaElement>;
}

/** Several lines of text. */
export function Textarea({ className, ...rest }: TextareaProps) {
  const field = useField();
  return (
    <textarea
      spellCheck={false}
      rows={3}
      {...field}
      {...rest}
      className={cx(CONTROL, "resize-y py-1", className ?? "w-full")}
    />
  );
}
