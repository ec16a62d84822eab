import { KeyRound, Plus, Trash2, User, Users, X } from "lucide-react";
import { useState } from "react";

import { api } from "@/api/client";
import { useUrl } from "@/shell/url";
import {
  Badge, Button, Card, Confirm, Dialog, EmptyState, ErrorBox, Field, IconButton, Input, SearchInput, Select, Switch,
  Table, toast, toastError,
} from "@/ui";

import { type Principal, type PrincipalKind, useChanges, useMemberships, usePrincipals } from "./model";

const WORDS: Record<PrincipalKind, string> = { user: "User", role: "Role", service_account: "Service account" };

/** Users, service accounts and roles, and who holds what. */
export function Principals() {
  const [{ principal = "", q = "" }, setUrl] = useUrl<{ principal?: string; q?: string }>();
  const [creating, setCreating] = useState(false);
  const found = usePrincipals();
  const members = useMemberships();
  const rows = found.data?.filter((each) => each.name.toLowerCase().includes(q.toLowerCase()));
  const chosen = found.data?.find((each) => `${each.kind}:${each.name}` === principal);
  if (found.error) return <div className="p-4"><ErrorBox error={found.error} onRetry={() => void found.refetch()} /></div>;
  const holds = (each: Principal) =>
    members.data?.filter((one) => one.member === each.name && one.kind === each.kind).map((one) => one.role) ?? [];
  return (
    <div className="grid min-h-0 flex-1 grid-cols-[minmax(0,1fr)_24rem] gap-4 overflow-auto p-4 max-lg:grid-cols-1">
      <Card
        title="Users and roles"
        actions={
          <>
            <SearchInput value={q} onChange={(value) => setUrl({ q: value || undefined })} placeholder="Search names" />
            <Button icon={Plus} onClick={() => setCreating(true)}>
              New
            </Button>
          </>
        }
      >
        <Table
          label="Principals"
          rows={rows}
          loading={found.isPending}
          rowKey={(row) => `${row.kind}:${row.name}`}
          selectedKey={principal}
          onRow={(row) => setUrl({ principal: `${row.kind}:${row.name}` })}
          empty={<p className="text-text-2 p-3">Nobody of that name.</p>}
          columns={[
            {
              key: "name",
              header: "Name",
              sort: (row) => row.name,
              cell: (row) => (
                <span className="inline-flex items-center gap-2 align-middle">
                  {row.kind === "role" ? (
                    <Users aria-hidden size={14} className="text-text-3" />
                  ) : row.kind === "user" ? (
                    <User aria-hidden size={14} className="text-text-3" />
                  ) : (
                    <KeyRound aria-hidden size={14} className="text-text-3" />
                  )}
                  <bdi>{row.name}</bdi>
                  {row.disabled && <Badge tone="warn">locked out</Badge>}
                </span>
              ),
            },
            { key: "kind", header: "Kind", width: "9rem", sort: (row) => row.kind, cell: (row) => WORDS[row.kind] },
            { key: "roles", header: "Holds", cell: (row) => holds(row).join(", ") },
          ]}
        />
      </Card>
      {chosen ? (
        <Detail key={principal} of={chosen} all={found.data ?? []} roles={holds(chosen)} />
      ) : (
        <Card>
          <EmptyState icon={Users} title="Choose somebody">
            Their roles and members appear here. Grants are given to roles best: who joins a team joins its role.
          </EmptyState>
        </Card>
      )}
      <Create open={creating} onOpenChange={setCreating} onMade={(made) => setUrl({ principal: made })} />
    </div>
  );
}

function Detail({ of, all, roles }: { of: Principal; all: Principal[]; roles: string[] }) {
  const [, setUrl] = useUrl<{ principal?: string; tab?: string; role?: string }>();
  const [dropping, setDropping] = useState(false);
  const changes = useChanges();
  const members = useMemberships().data?.filter((one) => of.kind === "role" && one.role === of.name) ?? [];
  const builtIn = of.kind === "role" && (of.name === "admin" || of.name === "public");
  const path = { kind: of.kind, name: of.name };
  const lock = async (enabled: boolean) => {
    const change = enabled ? "enable" : "disable";
    const back = enabled ? "disable" : "enable";
    const send = (what: "enable" | "disable") =>
      api.post("/api/v1/principals/{kind}/{name}/{change}", { path: { ...path, change: what } }).then(changes.fresh);
    try {
      await send(change);
      toast(enabled ? `${of.name} may log in again` : `${of.name} is locked out`, { undo: () => send(back) });
    } catch (error) {
      toastError(error);
    }
  };
  const candidates = all.filter((each) => each.kind === "role" && each.name !== of.name && each.name !== "public" && !roles.includes(each.name));
  const joinable = all.filter((each) => each.name !== of.name && !members.some((one) => one.member === each.name && one.kind === each.kind));
  return (
    <Card
      title={<bdi>{of.name}</bdi>}
      className="self-start"
      actions={
        !builtIn && <IconButton icon={Trash2} label={`Drop ${of.name}`} onClick={() => setDropping(true)} />
      }
    >
      <div className="flex flex-col gap-4 p-3">
        <div className="flex items-center justify-between">
          <Badge>{WORDS[of.kind]}</Badge>
          {of.kind !== "role" && (
            <Switch checked={!of.disabled} onChange={(on) => void lock(on)} label="May log in" />
          )}
        </div>
        <section className="flex flex-col gap-1.5">
          <h3 className="text-text-2 text-sm font-medium">Holds these roles</h3>
          {roles.length === 0 && <p className="text-text-3">None, except public, which everybody holds.</p>}
          {roles.map((role) => (
            <Line key={role} label={role} remove={() => void changes.roles(role, of, true)} removeLabel={`Take role ${role} from ${of.name}`} />
          ))}
          {candidates.length > 0 && (
            <Select
              label="Give a role"
              placeholder="Give a role…"
              value=""
              onChange={(role) => void changes.roles(role, of, false)}
              options={candidates.map((each) => ({ value: each.name, label: each.name }))}
            />
          )}
        </section>
        {of.kind === "role" && of.name !== "public" && (
          <section className="flex flex-col gap-1.5">
            <h3 className="text-text-2 text-sm font-medium">Its members</h3>
            {members.length === 0 && <p className="text-text-3">Nobody yet.</p>}
            {members.map((one) => (
              <Line
                key={`${one.kind}:${one.member}`}
                label={one.member}
                remove={() => void changes.roles(of.name, { name: one.member, kind: one.kind, disabled: false }, true)}
                removeLabel={`Remove ${one.member} from ${of.name}`}
              />
            ))}
            <Select
              label="Add a member"
              placeholder="Add a member…"
              value=""
              onChange={(key) => {
                const member = joinable.find((each) => `${each.kind}:${each.name}` === key);
                if (member) void changes.roles(of.name, member, false);
              }}
              options={joinable.map((each) => ({
                value: `${each.kind}:${each.name}`,
                label: each.name,
                hint: each.kind === "user" ? undefined : WORDS[each.kind],
              }))}
            />
          </section>
        )}
        <Button
          onClick={() => setUrl({ tab: "audit", who: of.name, principal: undefined } as never)}
          disabled={of.kind === "role"}
        >
          What they did, in the audit log
        </Button>
      </div>
      <Confirm
        open={dropping}
        onOpenChange={setDropping}
        title={`Drop ${WORDS[of.kind].toLowerCase()} ${of.name}?`}
        action="Drop"
        danger
        onConfirm={async () => {
          await api.del("/api/v1/principals/{kind}/{name}", { path });
          setUrl({ principal: undefined });
          toast(`${of.name} was dropped`);
          await changes.fresh();
        }}
      >
        Its grants and memberships go with it and do not come back. To keep them, lock it out instead.
      </Confirm>
    </Card>
  );
}

function Line(props: { label: string; remove: () => void; removeLabel: string }) {
  return (
    <div className="bg-surface-2 flex h-7 items-center justify-between rounded-md pl-2">
      <bdi className="truncate">{props.label}</bdi>
      <IconButton size="sm" icon={X} label={props.removeLabel} onClick={props.remove} />
    </div>
  );
}

function Create(props: { open: boolean; onOpenChange: (open: boolean) => void; onMade: (key: string) => void }) {
  const [kind, setKind] = useState<PrincipalKind>("user");
  const [name, setName] = useState("");
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const changes = useChanges();
  const make = async () => {
    setBusy(true);
    setError(null);
    try {
      await api.post("/api/v1/principals", { body: { kind, name: name.trim() } as never });
      await changes.fresh();
      toast(`${WORDS[kind]} ${name.trim()} was made`);
      props.onOpenChange(false);
      props.onMade(`${kind}:${name.trim()}`);
      setName("");
    } catch (problem) {
      setError(problem);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Dialog
      open={props.open}
      onOpenChange={props.onOpenChange}
      title="New user or role"
      width="sm"
      footer={
        <>
          <Button onClick={() => props.onOpenChange(false)}>Cancel</Button>
          <Button variant="primary" busy={busy} disabled={!name.trim()} onClick={() => void make()}>
            Make it
          </Button>
        </>
      }
    >
      <form
        className="flex flex-col gap-3"
        onSubmit={(event) => {
          event.preventDefault();
          if (name.trim()) void make();
        }}
      >
        <Field label="Kind">
          <Select
            value={kind}
            onChange={(value) => setKind(value as PrincipalKind)}
            options={(Object.keys(WORDS) as PrincipalKind[]).map((each) => ({ value: each, label: WORDS[each] }))}
          />
        </Field>
        <Field label="Name" hint="Begins with a letter; then letters, digits and . _ @ + -">
          <Input autoFocus value={name} onChange={(event) => setName(event.target.value)} />
        </Field>
        {error != null && <ErrorBox error={error} />}
      </form>
    </Dialog>
  );
}
