import { useEffect, useRef, useSyncExternalStore } from "react";

// One listener for all shortcuts. The binding that was made last wins, so that a dialog's or a
// page's come before the shell's; keys without Ctrl do nothing while somebody types.

type Action = (event: KeyboardEvent) => void | boolean;
export type Binding = Action | { label: string; group?: string; run: Action };
export type Bindings = Record<string, Binding>;

interface Layer {
  bindings: Bindings;
}

const SEQUENCE_MS = 900;
const APPLE = /Mac|iPhone|iPad/.test(navigator.platform);

let layers: readonly Layer[] = [];
const listeners = new Set<() => void>();
let begun: { key: string; at: number } | null = null;

function change(next: readonly Layer[]) {
  layers = next;
  for (const listener of listeners) listener();
}

function stroke(event: KeyboardEvent): string {
  const mod = APPLE ? event.metaKey : event.ctrlKey;
  const key = event.key === " " ? "space" : event.key.toLowerCase();
  const parts = [mod && "mod", event.altKey && "alt"];
  // Shift is part of the sign itself, as with "?", unless it goes with Ctrl or a named key.
  if (event.shiftKey && (mod || event.key.length > 1)) parts.push("shift");
  return [...parts.filter(Boolean), key].join("+");
}

function typing(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName))
  );
}

function find(key: string): Binding | undefined {
  for (const layer of [...layers].reverse()) {
    const binding = layer.bindings[key];
    if (binding) return binding;
  }
  return undefined;
}

function handle(event: KeyboardEvent) {
  if (event.defaultPrevented || event.isComposing) return;
  const key = stroke(event);
  const free = event.ctrlKey || event.metaKey || event.key === "Escape" || /^F\d+$/.test(event.key);
  if (!free && (typing(event.target) || inDialog(event.target))) return;
  const before = begun && event.timeStamp - begun.at < SEQUENCE_MS ? begun.key : null;
  begun = null;
  const binding = (before && find(`${before} ${key}`)) || find(key);
  if (binding) {
    const run = typeof binding === "function" ? binding : binding.run;
    if (run(event) !== false) event.preventDefault();
  } else if (!free && key.length === 1) {
    begun = { key, at: event.timeStamp };
  }
}

function inDialog(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.closest('[role="dialog"],[role="menu"],[role="listbox"]') !== null;
}

window.addEventListener("keydown", handle);

/** Binds keys while the component is there: {"mod+s": save, "g d": …, "?": …}. */
export function useKeys(bindings: Bindings, options: { enabled?: boolean; scope?: string } = {}): void {
  const enabled = options.enabled ?? true;
  const current = useRef(bindings);
  current.current = bindings;
  const names = Object.keys(bindings).join("\n");
  useEffect(() => {
    if (!enabled) return;
    const layer: Layer = {
      bindings: Object.fromEntries(
        names.split("\n").map((name) => {
          const binding = current.current[name];
          const run: Action = (event) => {
            const now = current.current[name];
            return typeof now === "function" ? now(event) : now?.run(event);
          };
          return [name, typeof binding === "object" ? { ...binding, run } : run];
        }),
      ),
    };
    change([...layers, layer]);
    return () => change(layers.filter((other) => other !== layer));
  }, [enabled, names]);
}

function subscribe(listener: () => void) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** The keys that can be pressed now and say what they do, for the help sheet. */
export function useKeyHelp(): { keys: string; label: string; group: string }[] {
  const now = useSyncExternalStore(subscribe, () => layers);
  return now.flatMap((layer) =>
    Object.entries(layer.bindings).flatMap(([keys, binding]) =>
      typeof binding === "object" ? [{ keys, label: binding.label, group: binding.group ?? "This page" }] : [],
    ),
  );
}
