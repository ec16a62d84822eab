import { useNavigate, useSearch } from "@tanstack/react-router";
import { useCallback } from "react";

/** The address' search as text by name: nothing in it is interpreted. */
export function parseSearch(search: string): Record<string, string> {
  return Object.fromEntries(new URLSearchParams(search));
}

/** The other way; what is undefined or empty is left out. */
export function writeSearch(search: Record<string, unknown>): string {
  const out = new URLSearchParams();
  for (const [name, value] of Object.entries(search)) {
    if (value !== undefined && value !== null && value !== "") out.set(name, String(value));
  }
  const text = out.toString();
  return text ? `?${text}` : "";
}

/** State that lives in the address: what is given is merged, undefined removes. */
export function useUrl<T extends { [K in keyof T]?: string }>(): [
  T,
  (change: Partial<T>, how?: { push?: boolean }) => void,
] {
  const search = useSearch({ strict: false }) as T;
  const navigate = useNavigate();
  const put = useCallback(
    (change: Partial<T>, how: { push?: boolean } = {}) => {
      void navigate({
        to: ".",
        search: (now: Record<string, unknown>) => ({ ...now, ...change }),
        replace: !how.push,
      } as Parameters<typeof navigate>[0]);
    },
    [navigate],
  );
  return [search, put];
}
