import { cx } from "./classes";

const APPLE = /Mac|iPhone|iPad/.test(navigator.platform);

/** A key combination, "Ctrl+K" or a sequence "g d", as this machine's keyboard names it. */
export function Kbd({ keys, inverse }: { keys: string; inverse?: boolean }) {
  const strokes = keys.split(" ").map((stroke) => stroke.split("+").filter(Boolean));
  return (
    <span className="inline-flex shrink-0 items-center gap-1">
      {strokes.map((parts, index) => (
        <kbd
          key={index}
          className={cx(
            "rounded-sm border px-1 font-sans text-xs leading-4",
            inverse ? "border-current/30" : "border-border-2 bg-surface-2 text-text-2",
          )}
        >
          {parts.map(named).join(APPLE ? "" : "+")}
        </kbd>
      ))}
    </span>
  );
}

function named(part: string): string {
  const key = part.toLowerCase();
  if (APPLE && (key === "ctrl" || key === "mod")) return "⌘";
  if (APPLE && key === "shift") return "⇧";
  if (APPLE && key === "alt") return "⌥";
  if (key === "mod") return "Ctrl";
  if (key === "enter") return "⏎";
  return part.length === 1 ? part.toUpperCase() : part;
}
