import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Trash2 } from "lucide-react";
import { type ReactNode, useState } from "react";

import type { Got } from "@/api/client";
import { api } from "@/api/client";
import { pageOf } from "@/pages/data/names";
import { go } from "@/shell/navigation";
import { Page } from "@/shell/Page";
import { Awaiting, Card, Confirm, IconButton, toast } from "@/ui";

import { AddressForm } from "./AddressForm";
import { type Address, EMPTY, type Found } from "./address";
import { Choose } from "./Choose";

type Kept = Got<"/api/v1/connections">[number];

/** The way of another catalog's tables into the lake: say where it is, test it, choose, done. */
export function ConnectPage(): ReactNode {
  const [address, setAddress] = useState<Address>(EMPTY);
  const [found, setFound] = useState<Found | null>(null);
  const client = useQueryClient();
  const kept = useQuery({ queryKey: ["home", "connections"], queryFn: ({ signal }) => api.get("/api/v1/connections", { signal }), retry: false });
  const change = (next: Address) => {
    setAddress(next);
    setFound(null);
  };
  const done = async (schema: string) => {
    await client.invalidateQueries({ queryKey: ["data"] });
    await client.invalidateQueries({ queryKey: ["home"] });
    toast("The catalog is connected");
    go(pageOf(schema));
  };
  return (
    <Page crumbs={[{ label: "Home", to: "/" }, { label: "Connect a catalog" }]}>
      <div className="mx-auto flex max-w-4xl flex-col gap-5">
        <header>
          <h2 className="text-xl font-semibold">Connect an Iceberg REST catalog</h2>
          <p className="text-text-2">
            Its tables appear here as they are, read-only and without a copy. Grants, row filters and masks of this lake hold for them.
          </p>
        </header>
        {kept.error ? <Awaiting of={kept} /> : (
          <>
            <AddressForm address={address} onChange={change} onFound={setFound} />
            {found && <Choose key={JSON.stringify(found)} address={address} found={found} onDone={(schema) => void done(schema)} />}
            {kept.data && kept.data.length > 0 && <Connections kept={kept.data} />}
          </>
        )}
      </div>
    </Page>
  );
}

function Connections({ kept }: { kept: readonly Kept[] }): ReactNode {
  const [ending, setEnding] = useState<Kept | null>(null);
  const client = useQueryClient();
  const remove = async () => {
    if (!ending) return;
    await api.del("/api/v1/connections/{name}", { path: { name: ending.name } });
    await client.invalidateQueries({ queryKey: ["home"] });
    await client.invalidateQueries({ queryKey: ["data"] });
    toast(`${ending.name} was removed`);
  };
  return (
    <Card title="Connected">
      <ul>
        {kept.map((each) => (
          <li key={each.name} className="flex items-start gap-3 border-b px-3 py-2 last:border-0">
            <div className="min-w-0 flex-1">
              <p className="font-medium"><bdi>{each.name}</bdi></p>
              <p className="text-text-2 truncate text-sm"><bdi>{each.uri}</bdi></p>
              <p className="flex flex-wrap gap-x-3">
                {each.schemas.map((shown) => (
                  <Link key={shown.schema} to={pageOf(shown.schema ?? "")} className="text-accent hover:underline"><bdi>{shown.schema}</bdi></Link>
                ))}
              </p>
            </div>
            <IconButton icon={Trash2} label={`Remove ${each.name}`} onClick={() => setEnding(each)} />
          </li>
        ))}
      </ul>
      <Confirm
        open={ending !== null}
        onOpenChange={(open) => !open && setEnding(null)}
        title={`Remove ${ending?.name ?? ""}?`}
        action="Remove the connection"
        danger
        onConfirm={remove}
      >
        Its schemas go from here, with the grants, row filters and masks on their tables. The other catalog stays as it is.
      </Confirm>
    </Card>
  );
}
