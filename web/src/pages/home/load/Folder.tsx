import { useMutation, useQuery } from "@tanstack/react-query";
import { FileText, Folder as FolderIcon, FolderUp } from "lucide-react";
import { type ReactNode, useState } from "react";

import { api } from "@/api/client";
import { Button, Checkbox, ErrorBox, Field, Select, Skeleton, toastError } from "@/ui";
import { bytes, plural } from "@/ui/format";

import type { Sent } from "./send";

/** Files in folders of the server's machine that the user may read. */
export function Folder({ locations, onStaged }: { locations: readonly string[]; onStaged: (files: Sent[]) => void }): ReactNode {
  const [root, setRoot] = useState(locations[0] ?? "");
  const [path, setPath] = useState(root);
  const [chosen, setChosen] = useState<readonly string[]>([]);
  const listing = useQuery({
    queryKey: ["home", "location", path],
    queryFn: ({ signal }) => api.get("/api/v1/locations/files", { query: { path }, signal }),
    enabled: path !== "",
    retry: false,
  });
  const stage = useMutation({
    mutationFn: () => api.post("/api/v1/locations/stage", { body: { paths: [...chosen] } }),
    onSuccess: (files) => onStaged(files),
    onError: toastError,
  });
  const open = (next: string) => {
    setPath(next);
    setChosen([]);
  };
  const above = path.slice(0, path.lastIndexOf("/"));
  return (
    <section aria-label="Folders of the server" className="flex flex-col gap-3">
      <div className="flex items-end gap-2">
        <Field label="Location" className="w-72">
          <Select value={root} onChange={(value) => { setRoot(value); open(value); }} options={locations.map((each) => ({ value: each, label: each }))} />
        </Field>
        <span className="flex-1" />
        <Button variant="primary" disabled={chosen.length === 0} busy={stage.isPending} onClick={() => stage.mutate()}>
          {chosen.length ? `Take ${plural(chosen.length, "file")}` : "Take files"}
        </Button>
      </div>
      {listing.error ? <ErrorBox error={listing.error} onRetry={() => void listing.refetch()} /> : !listing.data ? <Skeleton lines={5} /> : (
        <ul className="bg-surface max-h-96 overflow-auto rounded-md border">
          {path !== root && (
            <li className="border-b"><button type="button" className="hover:bg-hover flex h-8 w-full items-center gap-2 px-3" onClick={() => open(above)}><FolderUp aria-hidden size={14} className="text-text-3" />Up</button></li>
          )}
          {listing.data.map((each) => (
            <li key={each.path} className="flex h-8 items-center gap-2 border-b px-3 last:border-0">
              {each.folder ? (
                <button type="button" className="hover:text-accent flex min-w-0 flex-1 items-center gap-2 text-left" onClick={() => open(each.path)}><FolderIcon aria-hidden size={14} className="text-text-3" /><bdi className="truncate">{each.name}</bdi></button>
              ) : (
                <>
                  <Checkbox checked={chosen.includes(each.path)} disabled={!each.format} onChange={(on) => setChosen((now) => (on ? [...now, each.path] : now.filter((other) => other !== each.path)))}
                    label={<span className="flex items-center gap-2"><FileText aria-hidden size={14} className="text-text-3" /><bdi className={each.format ? "" : "text-text-3"}>{each.name}</bdi></span>} />
                  <span className="flex-1" />
                  <span className="text-text-3 text-sm tabular-nums">{each.format ? bytes(each.bytes) : "cannot be loaded"}</span>
                </>
              )}
            </li>
          ))}
          {listing.data.length === 0 && <li className="text-text-2 p-3">The folder is empty.</li>}
        </ul>
      )}
    </section>
  );
}
