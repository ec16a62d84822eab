import { createContext, use } from "react";

import { ApiError, ConnectionError } from "@/api/errors";
import { setStatus } from "@/api/status";

/** Who is logged in; `role` is the one acted in (null: all that are held). */
export interface Session {
  name: string;
  kind: string;
  role: string | null;
  roles: string[];
}

export const SessionContext = createContext<Session | null>(null);

/** Who is logged in. */
export function useSession(): Session {
  const session = use(SessionContext);
  if (!session) throw new Error("useSession outside of the shell");
  return session;
}

async function answer(path: string, init: RequestInit): Promise<Session> {
  let response: Response;
  try {
    response = await fetch(path, { credentials: "same-origin", redirect: "error", ...init });
  } catch {
    throw new ConnectionError();
  }
  const body: unknown = await response.json().catch(() => ({}));
  if (!response.ok) throw new ApiError(response.status, body as Record<string, unknown>);
  return body as Session;
}

/** Exchanges a token for the session's cookie, which scripts cannot read. */
export async function login(token: string): Promise<Session> {
  const session = await answer("/api/v1/session", {
    method: "POST",
    headers: { authorization: `Bearer ${token.trim()}`, "content-type": "application/json" },
    body: "{}",
  });
  setStatus({ session: "in", connection: "ok" });
  return session;
}

/** Who the cookie speaks for; null when for nobody. */
export async function current(): Promise<Session | null> {
  try {
    const session = await answer("/api/v1/whoami", {});
    setStatus({ session: "in", connection: "ok" });
    return session;
  } catch (problem) {
    if (problem instanceof ApiError && problem.status === 401) {
      setStatus({ session: "out" });
      return null;
    }
    throw problem;
  }
}

/** Ends the session in this browser. */
export async function logout(): Promise<void> {
  await fetch("/api/v1/session", {
    method: "DELETE",
    headers: { "content-type": "application/json" },
  });
  window.location.assign("/");
}

/** The token of the link that `headwater up` prints; taken out of the address and the history. */
export function tokenOfLink(): string | null {
  const token = new URLSearchParams(window.location.hash.slice(1)).get("token");
  if (token !== null) {
    window.history.replaceState(null, "", window.location.pathname + window.location.search);
  }
  return token;
}
