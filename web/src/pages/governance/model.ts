import { useQuery, useQueryClient } from "@tanstack/react-query";

import { api } from "@/api/client";
import { toast, toastError } from "@/ui";

export type PrincipalKind = "user" | "role" | "service_account";

/** A principal as pages name it. */
export interface Principal {
  name: string;
  kind: PrincipalKind;
  disabled: boolean;
}

/** A row of SHOW: names and texts. */
export type Row = Record<string, string | boolean | null>;

/** A cell of such a row as text. */
export function text(row: Row, key: string): string {
  const value = row[key];
  return value == null ? "" : String(value);
}

/** All principals that the caller may see: users and service accounts, then roles. */
export function usePrincipals() {
  return useQuery({
    queryKey: ["governance", "principals"],
    queryFn: async ({ signal }): Promise<Principal[]> => {
      const [users, roles] = await Promise.all([
        api.get("/api/v1/principals", { signal }),
        api.get("/api/v1/principals", { query: { kind: "role" }, signal }),
      ]);
      return [
        ...users.map((row) => ({
          name: text(row, "user"),
          kind: text(row, "type") as PrincipalKind,
          disabled: row.disabled === true,
        })),
        ...roles.map((row) => ({ name: text(row, "role"), kind: "role" as const, disabled: false })),
      ];
    },
  });
}

/** Who holds which role. */
export function useMemberships() {
  return useQuery({
    queryKey: ["governance", "memberships"],
    queryFn: async ({ signal }) =>
      (await api.get("/api/v1/role-grants", { signal })).map((row) => ({
        role: text(row, "role"),
        member: text(row, "grantee"),
        kind: text(row, "grantee_type") as PrincipalKind,
      })),
  });
}

/** A grant or deny, to make or to take back. */
export interface GrantChange {
  effect: "grant" | "deny" | "revoke" | "revoke_deny";
  privileges: { privilege: string; columns: string[] }[];
  on: { kind: string; name: string | null };
  to: { name: string; kind: PrincipalKind }[];
  grant_option?: boolean;
}

const BACK = { grant: "revoke", deny: "revoke_deny", revoke: "grant", revoke_deny: "deny" } as const;
const DONE = { grant: "Granted", deny: "Denied", revoke: "Revoked", revoke_deny: "Deny lifted" };

/** Makes changes, tells of them with a way back, and has everything about access read anew. */
export function useChanges() {
  const client = useQueryClient();
  const fresh = () => client.invalidateQueries({ queryKey: ["governance"] });
  const send = async (change: GrantChange) => {
    await api.post("/api/v1/grants", { body: change as never });
    await fresh();
  };
  return {
    fresh,
    grants: async (change: GrantChange): Promise<boolean> => {
      try {
        await send(change);
      } catch (error) {
        toastError(error);
        return false;
      }
      const what = change.privileges.map((each) => each.privilege).join(", ");
      const who = change.to.map((each) => each.name).join(", ");
      toast(`${DONE[change.effect]}: ${what} on ${change.on.name ?? change.on.kind} · ${who}`, {
        undo: () => send({ ...change, effect: BACK[change.effect] }),
      });
      return true;
    },
    roles: async (role: string, member: Principal, revoke: boolean): Promise<void> => {
      const change = (back: boolean) =>
        api
          .post("/api/v1/role-grants", {
            body: { roles: [role], to: [{ name: member.name, kind: member.kind }], revoke: back } as never,
          })
          .then(fresh);
      try {
        await change(revoke);
        toast(revoke ? `${member.name} no longer holds ${role}` : `${member.name} holds ${role}`, {
          undo: () => change(!revoke),
        });
      } catch (error) {
        toastError(error);
      }
    },
  };
}
