import type { LucideIcon } from "lucide-react";
import { LoaderCircle } from "lucide-react";
import type { ButtonHTMLAttributes, Ref } from "react";

import { cx } from "./classes";
import { Tooltip } from "./Tooltip";

const VARIANTS = {
  primary: "bg-accent text-accent-text hover:bg-accent-2 border-transparent font-medium",
  default: "bg-surface text-text border-border-2 hover:bg-hover",
  ghost: "bg-transparent text-text-2 border-transparent hover:bg-hover hover:text-text",
  danger: "bg-surface text-bad border-border-2 hover:bg-bad-soft",
};
const SIZES = { sm: "h-6 px-2 text-sm gap-1", md: "h-7 px-2.5 text-base gap-1.5" };
const FORM =
  "inline-flex items-center justify-center rounded-md border whitespace-nowrap select-none " +
  "transition-colors disabled:opacity-50 disabled:pointer-events-none";

export interface ButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  variant?: keyof typeof VARIANTS;
  size?: keyof typeof SIZES;
  icon?: LucideIcon;
  /** Shows that it works, and takes no second click. */
  busy?: boolean;
  ref?: Ref<HTMLButtonElement>;
}

/** A labelled action. */
export function Button(props: ButtonProps) {
  const { variant = "default", size = "md", icon: Icon, busy, className, children, ...rest } = props;
  const Shown = busy ? LoaderCircle : Icon;
  return (
    <button
      type="button"
      {...rest}
      disabled={rest.disabled || busy}
      aria-busy={busy || undefined}
      className={cx(FORM, VARIANTS[variant], SIZES[size], className)}
    >
      {Shown && (
        <Shown aria-hidden size={14} className={cx("shrink-0", busy && "animate-spin")} />
      )}
      {children}
    </button>
  );
}

export interface IconButtonProps extends Omit<ButtonHTMLAttributes<HTMLButtonElement>, "children"> {
  icon: LucideIcon;
  /** What it does: its accessible name and its tooltip. */
  label: string;
  keys?: string;
  size?: "sm" | "md";
  variant?: keyof typeof VARIANTS;
  pressed?: boolean;
  ref?: Ref<HTMLButtonElement>;
}

/** An action that is an icon only. */
export function IconButton(props: IconButtonProps) {
  const { icon: Icon, label, keys, size = "md", variant = "ghost", pressed, className, ...rest } = props;
  return (
    <Tooltip text={label} keys={keys}>
      <button
        type="button"
        aria-label={label}
        aria-pressed={pressed}
        {...rest}
        className={cx(
          FORM,
          VARIANTS[variant],
          size === "sm" ? "size-6" : "size-7",
          pressed && "bg-selected text-accent",
          className,
        )}
      >
        <Icon aria-hidden size={size === "sm" ? 14 : 15} />
      </button>
    </Tooltip>
  );
}
