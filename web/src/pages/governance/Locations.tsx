import { useQuery } from "@tanstack/react-query";
import { FolderLock, X } from "lucide-react";
import { useState } from "react";

import { api } from "@/api/client";
import { Badge, Button, Card, EmptyState, ErrorBox, Field, IconButton, Input, Select, Table } from "@/ui";

import { type PrincipalKind, text, useChanges, usePrincipals } from "./model";

/** Who may read and write files outside the catalog, by folder and prefix. */
export function Locations() {
  const changes = useChanges();
  const found = useQuery({
    queryKey: ["governance", "locations"],
    queryFn: async ({ signal }) =>
      (await api.get("/api/v1/grants", { signal })).filter((row) => row.object_type === "location"),
  });
  const principals = usePrincipals();
  const [uri, setUri] = useState("");
  const [privilege, setPrivilege] = useState("READ FILES");
  const [to, setTo] = useState("");
  const [busy, setBusy] = useState(false);
  const make = async () => {
    const [kind = "user", ...name] = to.split(":");
    setBusy(true);
    const done = await changes.grants({
      effect: "grant",
      privileges: [{ privilege, columns: [] }],
      on: { kind: "location", name: uri.trim() },
      to: [{ kind: kind as PrincipalKind, name: name.join(":") }],
    });
    if (done) setUri("");
    setBusy(false);
  };
  return (
    <div className="flex min-h-0 flex-1 flex-col gap-4 overflow-auto p-4">
      <Card title="Access to locations">
        <form
          className="flex flex-wrap items-end gap-3 border-b p-3"
          onSubmit={(event) => {
            event.preventDefault();
            if (uri.trim() && to) void make();
          }}
        >
          <Field label="Folder or prefix" hint="/data/incoming, or s3://bucket/prefix" className="min-w-64 flex-1">
            <Input value={uri} placeholder="s3://bucket/prefix" onChange={(event) => setUri(event.target.value)} />
          </Field>
          <Field label="May" hint={"\u00a0"} className="w-36">
            <Select
              value={privilege}
              onChange={setPrivilege}
              options={[
                { value: "READ FILES", label: "Read files" },
                { value: "WRITE FILES", label: "Write files" },
              ]}
            />
          </Field>
          <Field label="Who" hint={"\u00a0"} className="w-48">
            <Select
              value={to}
              placeholder="User or role"
              onChange={setTo}
              options={
                principals.data?.map((each) => ({
                  value: `${each.kind}:${each.name}`,
                  label: each.name,
                  hint: each.kind === "user" ? undefined : each.kind.replace("_", " "),
                })) ?? []
              }
            />
          </Field>
          <Button type="submit" variant="primary" busy={busy} disabled={!uri.trim() || !to} className="mb-5">
            Grant
          </Button>
        </form>
        {found.error ? (
          <div className="p-3">
            <ErrorBox error={found.error} onRetry={() => void found.refetch()} />
          </div>
        ) : (
          <Table
            label="Grants on locations"
            rows={found.data}
            loading={found.isPending}
            rowKey={(row) => `${text(row, "object")} ${text(row, "grantee")} ${text(row, "privilege")} ${text(row, "effect")}`}
            empty={
              <EmptyState icon={FolderLock} title="No location is open to anybody">
                Files outside the catalog are out of reach until somebody is granted a folder or a prefix. A grant holds
                for everything below it.
              </EmptyState>
            }
            columns={[
              { key: "uri", header: "Location", cell: (row) => <bdi className="mono">{text(row, "object")}</bdi>, sort: (row) => text(row, "object") },
              { key: "who", header: "Who", width: "12rem", cell: (row) => text(row, "grantee"), sort: (row) => text(row, "grantee") },
              {
                key: "may",
                header: "May",
                width: "9rem",
                cell: (row) => (
                  <Badge tone={row.effect === "deny" ? "bad" : "ok"}>
                    {row.effect === "deny" ? "not " : ""}
                    {text(row, "privilege").toLowerCase()}
                  </Badge>
                ),
              },
              { key: "by", header: "Granted by", width: "9rem", cell: (row) => text(row, "grantor") },
              {
                key: "x",
                header: "",
                width: "3rem",
                cell: (row) => (
                  <IconButton
                    size="sm"
                    icon={X}
                    label={`Revoke from ${text(row, "grantee")}`}
                    onClick={() =>
                      void changes.grants({
                        effect: row.effect === "deny" ? "revoke_deny" : "revoke",
                        privileges: [{ privilege: text(row, "privilege"), columns: [] }],
                        on: { kind: "location", name: plain(text(row, "object")) },
                        to: [{ name: text(row, "grantee"), kind: text(row, "grantee_type") as PrincipalKind }],
                      })
                    }
                  />
                ),
              },
            ]}
          />
        )}
      </Card>
    </div>
  );
}

/** A location as a statement names it: local folders without their scheme. */
function plain(uri: string): string {
  return uri.startsWith("file://") ? uri.slice("file://".length) : uri;
}
