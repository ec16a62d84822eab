import { useQuery } from "@tanstack/react-query";
import { type ReactNode, useEffect, useState } from "react";

import { api } from "@/api/client";
import { Page } from "@/shell/Page";
import { useUrl } from "@/shell/url";
import { ErrorBox, Skeleton, Tabs } from "@/ui";

import { DropZone } from "./DropZone";
import { take } from "./pending";
import { Places } from "./Places";
import { Review } from "./Review";
import type { Sent } from "./send";
import { Sending } from "./Sending";

const SOURCES = [
  { value: "computer", label: "This computer" },
  { value: "folder", label: "A folder of the server" },
  { value: "s3", label: "S3 location" },
];

/** The way of a file into a table: choose, send, look, load. What was sent stands in the address. */
export function LoadPage(): ReactNode {
  const [url, setUrl] = useUrl<{ upload?: string; schema?: string; table?: string; mode?: string; from?: string }>();
  const [files, setFiles] = useState<readonly File[]>([]);
  const [sent, setSent] = useState<readonly Sent[]>([]);
  const limits = useQuery({ queryKey: ["home", "limits"], queryFn: ({ signal }) => api.get("/api/v1/uploads/limits", { signal }) });
  const welcome = useQuery({ queryKey: ["home", "onboarding"], queryFn: ({ signal }) => api.get("/api/v1/onboarding", { signal }) });
  useEffect(() => {
    const handed = take();
    if (handed.length) setFiles(handed);
  }, []);
  const ids = url.upload ? url.upload.split(",") : [];
  const uploads = ids.map((id) => sent.find((each) => each.id === id) ?? { id, name: "", bytes: 0 });
  const arrived = (done: readonly Sent[]) => {
    setSent(done);
    setFiles([]);
    setUrl({ upload: done.map((each) => each.id).join(",") }, { push: true });
  };
  const again = () => {
    setFiles([]);
    setUrl({ upload: undefined });
  };
  const locations = welcome.data?.locations ?? [];
  const from = url.from === "folder" || url.from === "s3" ? url.from : "computer";
  const problem = limits.error ?? welcome.error;
  return (
    <Page crumbs={[{ label: "Home", to: "/" }, { label: "Load a file" }]}>
      <div className="mx-auto flex max-w-6xl flex-col gap-4">
        {problem ? <ErrorBox error={problem} onRetry={() => void Promise.all([limits.refetch(), welcome.refetch()])} /> : !limits.data || !welcome.data ? <Skeleton lines={4} /> : uploads.length ? (
          <Review key={url.upload} uploads={uploads} welcome={welcome.data} wish={url} onAgain={again} />
        ) : files.length ? (
          <Sending files={files} limits={limits.data} onDone={arrived} onCancel={again} />
        ) : (
          <Tabs label="Where the files are" value={from} onChange={(value) => setUrl({ from: value === "computer" ? undefined : value })} items={SOURCES}>
            <div className="pt-4">
              {from === "computer" ? <DropZone limits={limits.data} onFiles={setFiles} /> : (
                <Places key={from} kind={from} locations={locations.filter((each) => each.startsWith("s3://") === (from === "s3"))} onStaged={arrived} />
              )}
            </div>
          </Tabs>
        )}
      </div>
    </Page>
  );
}
