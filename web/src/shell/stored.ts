import { useCallback, useSyncExternalStore } from "react";

// Small things that a browser keeps: layout, theme, drafts. Never a credential.

const PREFIX = "headwater.";
const listeners = new Map<string, Set<() => void>>();
const parsed = new Map<string, { text: string | null; value: unknown }>();

function read(key: string): unknown {
  let text: string | null = null;
  try {
    text = localStorage.getItem(PREFIX + key);
  } catch {
    return undefined; // a browser that keeps nothing
  }
  const known = parsed.get(key);
  if (known && known.text === text) return known.value;
  let value: unknown;
  try {
    value = text === null ? undefined : JSON.parse(text);
  } catch {
    value = undefined;
  }
  parsed.set(key, { text, value });
  return value;
}

function tell(key: string) {
  for (const listener of listeners.get(key) ?? []) listener();
}

/** What is kept under a key, or `otherwise`. */
export function getStored<T>(key: string, otherwise: T): T {
  const value = read(key);
  return value === undefined ? otherwise : (value as T);
}

/** Keeps a value; false when the browser has no room (or no will) for it. */
export function setStored(key: string, value: unknown): boolean {
  try {
    if (value === undefined) localStorage.removeItem(PREFIX + key);
    else localStorage.setItem(PREFIX + key, JSON.stringify(value));
  } catch {
    return false;
  }
  tell(key);
  return true;
}

/** A kept value, as it changes; also when another tab changes it. */
export function useStored<T>(key: string, initial: T): [T, (value: T) => void] {
  const subscribe = useCallback(
    (listener: () => void) => {
      const own = listeners.get(key) ?? new Set();
      listeners.set(key, own.add(listener));
      const other = (event: StorageEvent) => {
        if (event.key === PREFIX + key) listener();
      };
      window.addEventListener("storage", other);
      return () => {
        own.delete(listener);
        window.removeEventListener("storage", other);
      };
    },
    [key],
  );
  const value = useSyncExternalStore(subscribe, () => read(key));
  const put = useCallback((next: T) => void setStored(key, next), [key]);
  return [value === undefined ? initial : (value as T), put];
}
