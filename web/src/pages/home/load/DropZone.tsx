import { FileUp } from "lucide-react";
import { type DragEvent, type ReactNode, useRef, useState } from "react";

import { Button, cx } from "@/ui";
import { bytes } from "@/ui/format";

interface DropZoneProps {
  limits: { bytes: number; extensions: readonly string[]; by_disk: boolean } | undefined;
  onFiles: (files: File[]) => void;
  compact?: boolean;
}

/** Takes files, by dropping them or by choosing them; says how large they may be before any is sent. */
export function DropZone({ limits, onFiles, compact }: DropZoneProps): ReactNode {
  const input = useRef<HTMLInputElement>(null);
  const [over, setOver] = useState(false);
  const drop = (event: DragEvent) => {
    event.preventDefault();
    setOver(false);
    const files = [...event.dataTransfer.files];
    if (files.length) onFiles(files);
  };
  return (
    <div
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={drop}
      className={cx(
        "flex flex-col items-center justify-center gap-2 rounded-lg border border-dashed text-center transition-colors",
        compact ? "px-4 py-6" : "px-6 py-14",
        over ? "border-accent bg-accent-soft" : "border-border-2",
      )}
    >
      <FileUp aria-hidden size={20} className={over ? "text-accent" : "text-text-3"} />
      <p className="font-medium">Drop a CSV, JSON or Parquet file here</p>
      <Button variant={compact ? "default" : "primary"} onClick={() => input.current?.click()}>Choose files</Button>
      <p className="text-text-3 text-sm">
        {limits ? `Up to ${bytes(limits.bytes)}${limits.by_disk ? ", which is what the server's disk has room for" : ""}. Text may be gzipped.` : "\u00a0"}
      </p>
      <input
        ref={input}
        type="file"
        multiple
        tabIndex={-1}
        aria-label="Files to load"
        accept={limits?.extensions.join(",")}
        className="sr-only"
        onChange={(event) => {
          const files = [...(event.target.files ?? [])];
          event.target.value = "";
          if (files.length) onFiles(files);
        }}
      />
    </div>
  );
}
