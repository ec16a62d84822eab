import { Check, ChevronDown } from "lucide-react";
import { Checkbox as Box, Select as Primitive, Switch as Toggle } from "radix-ui";
import type { ReactNode } from "react";
import { useId } from "react";

import { cx } from "./classes";
import { CONTROL, Input, useField } from "./Field";
import { nonce } from "./nonce";

export interface Option {
  value: string;
  label: ReactNode;
  hint?: ReactNode;
}

export interface SelectProps {
  value: string;
  onChange: (value: string) => void;
  options: readonly Option[];
  /** Its accessible name where no Field gives one. */
  label?: string;
  placeholder?: string;
  disabled?: boolean;
  size?: "sm" | "md";
  className?: string;
}

// The primitive keeps the empty string for "nothing chosen".
const EMPTY = "\u0000empty";

/** One of a few options. */
export function Select(props: SelectProps) {
  const { value, onChange, options, label, placeholder, disabled, size = "md", className } = props;
  const field = useField();
  const known = options.some((option) => option.value === value);
  return (
    <Primitive.Root
      value={known ? value || EMPTY : ""}
      onValueChange={(next) => onChange(next === EMPTY ? "" : next)}
      disabled={disabled}
    >
      <Primitive.Trigger
        {...field}
        aria-label={label}
        className={cx(
          CONTROL,
          "hover:bg-hover inline-flex items-center justify-between gap-1.5 data-[placeholder]:text-text-3",
          size === "sm" ? "h-6 text-sm" : "h-7",
          className ?? "w-full",
        )}
      >
        <span className="truncate">
          <Primitive.Value placeholder={placeholder ?? value} />
        </span>
        <Primitive.Icon>
          <ChevronDown aria-hidden size={13} className="text-text-3" />
        </Primitive.Icon>
      </Primitive.Trigger>
      <Primitive.Portal>
        <Primitive.Content
          position="popper"
          sideOffset={4}
          collisionPadding={8}
          className="bg-surface animate-in z-50 max-h-[min(24rem,var(--radix-select-content-available-height))] min-w-[var(--radix-select-trigger-width)] overflow-hidden rounded-md border shadow-pop"
        >
          <Primitive.Viewport nonce={nonce} className="p-1">
            {options.map((option) => (
              <Primitive.Item
                key={option.value}
                value={option.value || EMPTY}
                className="data-[highlighted]:bg-hover flex min-h-7 items-center gap-2 rounded-sm px-2 outline-none select-none"
              >
                <span className="min-w-0 flex-1">
                  <Primitive.ItemText>{option.label}</Primitive.ItemText>
                  {option.hint && <span className="text-text-3 block text-sm">{option.hint}</span>}
                </span>
                <Primitive.ItemIndicator>
                  <Check aria-hidden size={14} className="text-accent" />
                </Primitive.ItemIndicator>
              </Primitive.Item>
            ))}
          </Primitive.Viewport>
        </Primitive.Content>
      </Primitive.Portal>
    </Primitive.Root>
  );
}

export interface ComboboxProps {
  value: string;
  onChange: (value: string) => void;
  options: readonly string[];
  placeholder?: string;
  label?: string;
}

/** Free text with suggestions. */
export function Combobox({ value, onChange, options, placeholder, label }: ComboboxProps) {
  const list = useId();
  return (
    <>
      <Input
        list={list}
        value={value}
        aria-label={label}
        placeholder={placeholder}
        onChange={(event) => onChange(event.target.value)}
      />
      <datalist id={list}>
        {options.map((option) => (
          <option key={option} value={option} />
        ))}
      </datalist>
    </>
  );
}

interface MarkProps {
  checked: boolean;
  onChange: (checked: boolean) => void;
  label: ReactNode;
  disabled?: boolean;
}

/** A choice that takes effect with its form. */
export function Checkbox({ checked, onChange, label, disabled }: MarkProps) {
  const id = useId();
  return (
    <span className="inline-flex items-center gap-2">
      <Box.Root
        id={id}
        checked={checked}
        disabled={disabled}
        onCheckedChange={(next) => onChange(next === true)}
        className="border-border-2 bg-surface data-[state=checked]:bg-accent data-[state=checked]:border-accent text-accent-text flex size-4 shrink-0 items-center justify-center rounded-sm border disabled:opacity-50"
      >
        <Box.Indicator>
          <Check aria-hidden size={12} strokeWidth={3} />
        </Box.Indicator>
      </Box.Root>
      <label htmlFor={id}>{label}</label>
    </span>
  );
}

/** A choice that takes effect at once. */
export function Switch({ checked, onChange, label, disabled }: MarkProps) {
  const id = useId();
  return (
    <span className="inline-flex items-center gap-2">
      <Toggle.Root
        id={id}
        checked={checked}
        disabled={disabled}
        onCheckedChange={onChange}
        className="bg-border-2 data-[state=checked]:bg-accent relative h-4 w-7 shrink-0 rounded-full transition-colors disabled:opacity-50"
      >
        <Toggle.Thumb className="bg-surface block size-3 translate-x-0.5 rounded-full shadow transition-transform data-[state=checked]:translate-x-3.5" />
      </Toggle.Root>
      <label htmlFor={id}>{label}</label>
    </span>
  );
}
