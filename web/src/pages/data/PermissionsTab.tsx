import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Lock, User, Users } from "lucide-react";
import type { ReactNode } from "react";

import { api } from "@/api/client";
import { Badge, EmptyState, ErrorBox, Section, Skeleton, Table, type TableColumn } from "@/ui";

import { tablePath } from "./names";
import type { Overview, Permissions } from "./types";

type Grant = Permissions["grants"][number];
type Policy = NonNullable<Permissions["policies"]>[number];

const GRANTS: TableColumn<Grant>[] = [
  { key: "who", header: "Who", sort: (row) => row.grantee, cell: (row) => <span className="flex items-center gap-1.5">{row.grantee_kind === "role" ? <Users aria-label="role" size={13} className="text-text-3" /> : <User aria-label={row.grantee_kind} size={13} className="text-text-3" />}<bdi className="truncate font-medium">{row.grantee}</bdi></span> },
  { key: "what", header: "May", sort: (row) => row.privilege, cell: (row) => <span className="flex items-center gap-1.5">{row.effect === "deny" && <Badge tone="bad">denied</Badge>}{row.privilege}{row.column && <> on <bdi>{row.column}</bdi></>}{row.grantable && <Badge title="May pass it on">may grant</Badge>}</span> },
  { key: "on", header: "Because of a grant on", sort: (row) => row.on_kind, cell: (row) => <span className="text-text-2">{row.on_kind} <bdi>{row.on}</bdi></span> },
  { key: "by", header: "Made by", width: "12rem", cell: (row) => <bdi className="text-text-2">{row.grantor ?? "–"}</bdi> },
];

const POLICIES: TableColumn<Policy>[] = [
  { key: "name", header: "Policy", cell: (row) => <bdi className="font-medium">{row.name}</bdi> },
  { key: "kind", header: "Kind", width: "9rem", cell: (row) => row.kind.replaceAll("_", " ") },
  { key: "what", header: "What it does", cell: (row) => <span className="mono" title={row.expression ?? undefined}>{row.column ? `${row.column}: ${row.action ?? ""} ` : ""}{row.expression ?? ""}</span> },
  { key: "to", header: "For", cell: (row) => <bdi className="text-text-2">{row.to}{row.except_to ? `, but not ${row.except_to}` : ""}</bdi> },
];

/** Who may do what with the table: all of it for who manages it, else the viewer's own part. */
export function PermissionsTab({ overview }: { overview: Overview }): ReactNode {
  const { schema, name } = overview;
  const table = tablePath(schema, name);
  const permissions = useQuery({
    queryKey: ["data", "permissions", schema, name],
    queryFn: ({ signal }) => api.get("/api/v1/tables/{table}/permissions", { path: { table }, signal }),
    retry: false,
  });
  if (permissions.error) return <div className="p-3"><ErrorBox error={permissions.error} onRetry={() => void permissions.refetch()} /></div>;
  const found = permissions.data;
  if (!found) return <div className="p-3"><Skeleton lines={6} /></div>;
  return (
    <div className="flex min-h-0 flex-1 flex-col gap-5 overflow-auto p-4">
      <Section title="You" about={found.owner ? <>The owner is <bdi>{found.owner}</bdi>.</> : undefined}>
        <p className="flex flex-wrap gap-1.5">
          {found.mine.length ? found.mine.map((each) => <Badge key={each} tone="accent">{each}</Badge>) : <span className="text-text-2">You may see that it exists, and single columns at most.</span>}
        </p>
      </Section>
      <Section title={found.manages ? "Grants" : "Grants that reach you"} actions={found.manages && <Link to="/governance" className="text-accent text-sm hover:underline">Change in Governance</Link>}>
        <div className="bg-surface rounded-md border">
          <Table label="Grants" columns={GRANTS} rows={found.grants} rowKey={(row) => `${row.grantee}/${row.privilege}/${row.on}/${row.column}/${row.effect}`}
            empty={<EmptyState icon={Lock} title="No grants">Only its owner may use it.</EmptyState>} />
        </div>
      </Section>
      {found.policies && (
        <Section title="Row filters and column masks" about="What stands between some people and some of the values.">
          <div className="bg-surface rounded-md border">
            <Table label="Policies" columns={POLICIES} rows={found.policies} rowKey={(row) => row.name} empty={<p className="text-text-2 p-3">None: who may read it sees all of it.</p>} />
          </div>
        </Section>
      )}
    </div>
  );
}
