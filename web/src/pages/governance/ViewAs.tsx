import { useQuery } from "@tanstack/react-query";
import { Eye, EyeOff, Lock } from "lucide-react";

import { api } from "@/api/client";
import { useSession } from "@/shell/session";
import { useUrl } from "@/shell/url";
import { Badge, cx, EmptyState, ErrorBox, SearchInput, Select, Skeleton, Split } from "@/ui";

import { Pane } from "./Pane";

interface Url {
  user?: string;
  role?: string;
  table?: string;
  q?: string;
}

/** A table as somebody else sees it, beside one's own view. */
export function ViewAs() {
  const session = useSession();
  const [{ user, role, table, q = "" }, setUrl] = useUrl<Url>();
  const users = useQuery({
    queryKey: ["governance", "viewable"],
    queryFn: ({ signal }) => api.get("/api/v1/view-as/users", { signal }),
  });
  const objects = useQuery({
    queryKey: ["governance", "view-objects", user, role],
    enabled: Boolean(user),
    queryFn: ({ signal }) => api.get("/api/v1/view-as/objects", { query: { user: user ?? "", role }, signal }),
  });
  const seen = useQuery({
    queryKey: ["governance", "view-as", user, role, table],
    enabled: Boolean(user && table),
    queryFn: ({ signal }) =>
      api.post("/api/v1/view-as", { body: { user: user ?? "", role: role ?? null, table: table ?? "", limit: 100 }, signal }),
  });
  if (users.error) return <div className="p-4"><ErrorBox error={users.error} /></div>;
  if (users.data?.length === 0) {
    return (
      <EmptyState icon={Lock} title="You may act for nobody else">
        Seeing a table as another user does needs IMPERSONATE on that user. An administrator can grant it:{" "}
        <span className="mono">GRANT IMPERSONATE ON USER x TO USER {session.name}</span>
      </EmptyState>
    );
  }
  const chosen = users.data?.find((each) => each.name === user);
  const listed = objects.data?.objects.filter((each) => each.name.toLowerCase().includes(q.toLowerCase()));
  return (
    <div className="flex min-h-0 flex-1">
      <aside className="bg-surface flex w-64 shrink-0 flex-col border-r">
        <div className="flex flex-col gap-2 border-b p-3">
          <Select
            label="User"
            placeholder="Choose a user"
            value={user ?? ""}
            onChange={(name) => setUrl({ user: name, role: undefined })}
            options={users.data?.map((each) => ({ value: each.name, label: each.name })) ?? []}
          />
          <Select
            label="Role"
            disabled={!chosen}
            value={role ?? ""}
            onChange={(name) => setUrl({ role: name || undefined })}
            options={[
              { value: "", label: "All of their roles" },
              ...(chosen?.roles ?? []).map((name) => ({ value: name, label: `as ${name}` })),
            ]}
          />
          {user && (
            <SearchInput value={q} onChange={(value) => setUrl({ q: value || undefined })} placeholder="Find a table" />
          )}
        </div>
        {objects.error && <div className="p-3"><ErrorBox error={objects.error} /></div>}
        {user && objects.isPending && <div className="p-3"><Skeleton lines={6} /></div>}
        <ul aria-label="Tables" className="min-h-0 flex-1 overflow-auto py-1">
          {listed?.map((each) => (
            <li key={each.name}>
              <button
                type="button"
                aria-current={each.name === table}
                onClick={() => setUrl({ table: each.name })}
                className={cx(
                  "hover:bg-hover flex h-7 w-full items-center gap-2 px-3 text-left outline-offset-[-2px]",
                  each.name === table && "bg-selected",
                )}
              >
                <bdi className={cx("min-w-0 flex-1 truncate", !each.theirs && "text-text-3 line-through")}>{each.name}</bdi>
                {!each.theirs && <EyeOff aria-label={`hidden from ${user}`} size={13} className="text-text-3 shrink-0" />}
                {!each.mine && <Badge tone="info">theirs</Badge>}
              </button>
            </li>
          ))}
        </ul>
      </aside>
      <div className="flex min-h-0 min-w-0 flex-1 flex-col">
        {!user || !table ? (
          <EmptyState icon={Eye} title="See what they see">
            Choose a user and a table: your view and theirs appear side by side, each the answer to a real governed
            query. The audit log names you both.
          </EmptyState>
        ) : seen.error ? (
          <div className="p-4"><ErrorBox error={seen.error} onRetry={() => void seen.refetch()} /></div>
        ) : seen.isPending ? (
          <div className="p-4"><Skeleton lines={10} className="h-6" /></div>
        ) : (
          <>
            <Split direction="row" storageKey="view-as">
              <Pane title={`You, ${seen.data.first.user}`} pane={seen.data.first} missing={seen.data.missing} other={seen.data.second} />
              <Pane title={seen.data.second.user} pane={seen.data.second} other={seen.data.first} />
            </Split>
            <p className="bg-surface text-text-2 shrink-0 border-t px-3 py-1.5">
              <span className="bg-bad-soft rounded-sm px-1 line-through">Struck rows</span> and columns do not exist for{" "}
              <bdi>{seen.data.second.user}</bdi>; <span className="bg-warn-soft rounded-sm px-1">tinted cells</span> are
              masked; columns that differ come first. Up to 100 rows, around where theirs begin.
            </p>
          </>
        )}
      </div>
    </div>
  );
}
