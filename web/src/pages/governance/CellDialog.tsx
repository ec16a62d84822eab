import { useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { api, type Got } from "@/api/client";
import { Badge, Button, Dialog, ErrorBox, Field, Input, Select, Skeleton, type Tone } from "@/ui";

import { type GrantChange, type PrincipalKind, useChanges } from "./model";

/** One cell of the matrix. */
export interface Chosen {
  kind: "catalog" | "schema" | "table" | "view";
  name: string;
  principal: string;
  principalKind: PrincipalKind;
}

type Detail = Got<"/api/v1/access-matrix/cell">;
type Source = Detail["holdings"][number]["sources"][number];

const TONES: Record<string, Tone> = { allowed: "ok", denied: "bad", columns: "warn" };
const OF: Record<Chosen["kind"], string[]> = {
  catalog: ["ALL PRIVILEGES", "SELECT", "INSERT", "UPDATE", "DELETE", "DESCRIBE", "CREATE SCHEMA", "CREATE TABLE", "CREATE VIEW", "ALTER", "DROP", "MANAGE GRANTS", "IMPERSONATE"],
  schema: ["ALL PRIVILEGES", "SELECT", "INSERT", "UPDATE", "DELETE", "DESCRIBE", "CREATE TABLE", "CREATE VIEW", "ALTER", "DROP", "MANAGE GRANTS"],
  table: ["SELECT", "INSERT", "UPDATE", "DELETE", "ALL PRIVILEGES", "DESCRIBE", "ALTER", "DROP", "MANAGE GRANTS"],
  view: ["SELECT", "ALL PRIVILEGES", "DESCRIBE", "ALTER", "DROP", "MANAGE GRANTS"],
};
const BY_COLUMN = ["SELECT", "INSERT", "UPDATE"];

/** What one principal may do with one thing, why, and the ways to change it. */
export function CellDialog({ of, onClose }: { of: Chosen; onClose: () => void }) {
  const changes = useChanges();
  const found = useQuery({
    queryKey: ["governance", "cell", of],
    queryFn: ({ signal }) =>
      api.get("/api/v1/access-matrix/cell", {
        query: { kind: of.kind, name: of.name, principal: of.principal, principal_kind: of.principalKind },
        signal,
      }),
  });
  const change = (effect: GrantChange["effect"], privilege: string, columns: string[], option = false) =>
    changes.grants({
      effect,
      privileges: [{ privilege, columns }],
      on: { kind: of.kind, name: of.kind === "catalog" ? null : of.name },
      to: [{ name: of.principal, kind: of.principalKind }],
      ...(option ? { grant_option: true } : {}),
    });
  const detail = found.data;
  return (
    <Dialog
      open
      onOpenChange={(open) => !open && onClose()}
      width="lg"
      title={
        <>
          <bdi>{of.principal}</bdi> on {of.kind} <bdi>{of.name}</bdi>
        </>
      }
    >
      {found.error && <ErrorBox error={found.error} />}
      {found.isPending && <Skeleton lines={5} />}
      {detail && (
        <div className="flex flex-col gap-4 pb-2">
          {detail.holdings.length === 0 && (
            <p className="text-text-2">
              No grant reaches here: for {of.principal} this {of.kind} does not exist.
            </p>
          )}
          {detail.holdings.length > 0 && (
            <table aria-label="Privileges and why" className="w-full">
              <thead>
                <tr className="text-text-2 text-left text-sm">
                  <th scope="col" className="w-40 pb-1 font-medium">Privilege</th>
                  <th scope="col" className="w-24 pb-1 font-medium">Now</th>
                  <th scope="col" className="pb-1 font-medium">Why</th>
                </tr>
              </thead>
              <tbody>
                {detail.holdings.map((holding) => (
                  <tr key={holding.privilege} className="border-t align-top">
                    <td className="mono py-1.5">{holding.privilege}</td>
                    <td className="py-1.5">
                      <Badge tone={TONES[holding.state] ?? "neutral"}>{holding.state}</Badge>
                    </td>
                    <td className="py-1">
                      <ul>
                        {holding.sources.map((source, index) => (
                          <Why
                            key={index}
                            source={source}
                            of={of}
                            onRemove={
                              detail.manages && mine(source, of) && source.effect !== "owner"
                                ? () =>
                                    void change(
                                      source.effect === "deny" ? "revoke_deny" : "revoke",
                                      source.privilege,
                                      source.column ? [source.column] : [],
                                    )
                                : undefined
                            }
                          />
                        ))}
                      </ul>
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          )}
          {detail.policies.length > 0 && (
            <section className="flex flex-col gap-1">
              <h3 className="font-semibold">What is filtered and masked for them</h3>
              {detail.policies.map((policy) => (
                <p key={`${policy.kind}${policy.name}`} className="text-text-2">
                  <Badge tone="warn">{policy.kind === "row_filter" ? "row filter" : "mask"}</Badge>{" "}
                  <b>{policy.name}</b>
                  {policy.column && (
                    <>
                      {" "}
                      on <span className="mono">{policy.column}</span>: {policy.action}
                    </>
                  )}{" "}
                  {policy.expression && <span className="mono">{policy.expression}</span>} · to {policy.to.join(", ")}
                </p>
              ))}
            </section>
          )}
          {detail.manages && <Make of={of} change={change} />}
        </div>
      )}
    </Dialog>
  );
}

function mine(source: Source, of: Chosen): boolean {
  return !source.inherited && source.via === of.principal && source.via_kind === of.principalKind;
}

function Why(props: { source: Source; of: Chosen; onRemove?: () => void }) {
  const { source, of } = props;
  const words =
    source.effect === "owner"
      ? `${source.via === of.principal ? "owns" : `${source.via} owns`} ${source.on}`
      : `${source.effect === "deny" ? "denied" : "granted"} ${source.privilege === "ALL PRIVILEGES" ? "all privileges" : ""} ` +
        `on ${source.on}${source.column ? `, column ${source.column}` : ""}`;
  return (
    <li className="flex min-h-6 items-center gap-2">
      <span className={source.effect === "deny" ? "text-bad" : undefined}>{words}</span>
      {source.via !== of.principal && source.effect !== "owner" && <Badge>through {source.via}</Badge>}
      {source.inherited && <Badge tone="info">inherited</Badge>}
      {source.grant_option && <Badge>may pass on</Badge>}
      {source.granted_by && <span className="text-text-3">by {source.granted_by}</span>}
      {props.onRemove && (
        <Button size="sm" variant="ghost" onClick={props.onRemove}>
          {source.effect === "deny" ? "Lift" : "Revoke"}
        </Button>
      )}
    </li>
  );
}

function Make(props: {
  of: Chosen;
  change: (effect: "grant" | "deny", privilege: string, columns: string[], option?: boolean) => Promise<boolean>;
}) {
  const { of, change } = props;
  const [privilege, setPrivilege] = useState(OF[of.kind][0] ?? "SELECT");
  const [columns, setColumns] = useState("");
  const [busy, setBusy] = useState(false);
  const byColumn = of.kind === "table" && BY_COLUMN.includes(privilege);
  const send = async (effect: "grant" | "deny") => {
    setBusy(true);
    const named = byColumn ? columns.split(",").map((each) => each.trim()).filter(Boolean) : [];
    if (await change(effect, privilege, named)) setColumns("");
    setBusy(false);
  };
  return (
    <section className="bg-surface-2 flex flex-wrap items-end gap-3 rounded-md border p-3">
      <Field label="Privilege" className="w-44">
        <Select value={privilege} onChange={setPrivilege} options={OF[of.kind].map((each) => ({ value: each, label: each }))} />
      </Field>
      {byColumn && (
        <Field label="Columns, all when empty" className="min-w-40 flex-1">
          <Input value={columns} placeholder="id, region" onChange={(event) => setColumns(event.target.value)} />
        </Field>
      )}
      <Button variant="primary" busy={busy} onClick={() => void send("grant")}>
        Grant
      </Button>
      <Button variant="danger" disabled={busy} onClick={() => void send("deny")}>
        Deny
      </Button>
    </section>
  );
}
