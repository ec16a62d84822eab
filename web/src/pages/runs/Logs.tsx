import { useQuery } from "@tanstack/react-query";
import { useVirtualizer } from "@tanstack/react-virtual";
import { ArrowDownToLine, ArrowUpToLine } from "lucide-react";
import { useEffect, useRef, useState } from "react";

import { address, api } from "@/api/client";
import { useUrl } from "@/shell/url";
import { Badge, Button, cx, SearchInput, Select, Switch } from "@/ui";
import { plural } from "@/ui/format";

import { useSettled } from "./model";

const LINE = 18;
const TAIL = 256 * 1024;
const MOST = 200_000;

interface Shown {
  lines: string[];
  from: number | null;
  ended: boolean;
}

/** The lines of a stream from an offset on, as they come. */
function useLog(runId: string, attempt: number, stream: string, offset: number): Shown {
  const [shown, setShown] = useState<Shown>({ lines: [], from: null, ended: false });
  useEffect(() => {
    const lines: string[] = [];
    let open = "";
    let from: number | null = null;
    let ended = false;
    let waiting = 0;
    const show = () => {
      waiting = 0;
      setShown({ lines: open ? [...lines, open] : [...lines], from, ended });
    };
    const soon = () => {
      waiting ||= window.setTimeout(show, 80);
    };
    setShown({ lines: [], from: null, ended: false });
    const source = new EventSource(
      address("/api/v1/job-runs/{run_id}/logs", { run_id: runId }, { stream, attempt, offset, follow: true }),
    );
    source.addEventListener("log", (event) => {
      const part = JSON.parse((event as MessageEvent<string>).data) as { offset: number; text: string };
      from ??= part.offset;
      const pieces = (open + part.text).split("\n");
      open = pieces.pop() ?? "";
      lines.push(...pieces);
      if (lines.length > MOST) lines.splice(0, lines.length - MOST);
      soon();
    });
    source.addEventListener("end", () => {
      ended = true;
      source.close();
      soon();
    });
    return () => {
      source.close();
      window.clearTimeout(waiting);
    };
  }, [runId, attempt, stream, offset]);
  return shown;
}

/** A run's output: followed while it grows, searched on the server. */
export function Logs({ runId, attempt }: { runId: string; attempt: number }) {
  const [{ stream = "stdout", find = "" }, setUrl] = useUrl<{ stream?: string; find?: string }>();
  const [offset, setOffset] = useState(-TAIL);
  const [follow, setFollow] = useState(true);
  const log = useLog(runId, attempt, stream, offset);
  const text = useSettled(find.trim());
  const hits = useQuery({
    queryKey: ["runs", "log-search", runId, attempt, stream, text, log.ended],
    enabled: text.length > 0,
    queryFn: ({ signal }) =>
      api.get("/api/v1/job-runs/{run_id}/logs/search", {
        path: { run_id: runId },
        query: { q: text, stream: stream as "stdout", attempt },
        signal,
      }),
  });
  const scroller = useRef<HTMLDivElement>(null);
  const virtual = useVirtualizer({
    count: log.lines.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => LINE,
    overscan: 40,
  });
  const length = log.lines.length;
  const atEnd = follow && offset < 0;
  useEffect(() => {
    if (atEnd && length > 0) virtual.scrollToIndex(length - 1, { align: "end" });
    else if (offset >= 0) virtual.scrollToIndex(0);
  }, [atEnd, length, offset, virtual]);
  const needle = text.toLowerCase();
  return (
    <div className="flex min-h-0 flex-1 flex-col">
      <div className="bg-surface flex shrink-0 flex-wrap items-center gap-2 border-b px-3 py-1.5">
        <Select
          label="Stream"
          size="sm"
          className="!w-28"
          value={stream}
          onChange={(value) => setUrl({ stream: value })}
          options={[
            { value: "stdout", label: "stdout" },
            { value: "stderr", label: "stderr" },
          ]}
        />
        <SearchInput
          value={find}
          onChange={(value) => setUrl({ find: value || undefined })}
          placeholder="Search the whole log"
          className="w-64"
        />
        {text && hits.data && (
          <span className="text-text-2">
            {plural(hits.data.lines.length, "line")}
            {hits.data.cut && " and more"}
          </span>
        )}
        <span className="flex-1" />
        <Badge tone={log.ended ? "neutral" : "info"} dot>
          {log.ended ? "Ended" : "Live"}
        </Badge>
        <Switch checked={follow} onChange={setFollow} label="Follow" />
        <Button size="sm" icon={ArrowUpToLine} onClick={() => setOffset(0)}>
          Start
        </Button>
        <Button
          size="sm"
          icon={ArrowDownToLine}
          onClick={() => {
            setFollow(true);
            setOffset(-TAIL);
          }}
        >
          End
        </Button>
      </div>
      {text && hits.data && hits.data.lines.length > 0 && (
        <ul aria-label="Lines found" className="bg-surface-2 max-h-40 shrink-0 overflow-auto border-b py-1">
          {hits.data.lines.map((line) => (
            <li key={line.offset}>
              <button
                type="button"
                className="mono hover:bg-hover block w-full truncate px-3 text-left"
                onClick={() => {
                  setFollow(false);
                  setOffset(line.offset);
                }}
              >
                {line.text}
              </button>
            </li>
          ))}
        </ul>
      )}
      <div ref={scroller} tabIndex={0} aria-label="Log" className="mono min-h-0 flex-1 overflow-auto py-2 outline-offset-[-2px]">
        {length === 0 && (
          <p className="text-text-2 px-3 font-sans">
            {log.ended ? "Nothing was printed here." : "Nothing was printed yet."}
          </p>
        )}
        <div className="relative w-full" style={{ height: virtual.getTotalSize() }}>
          {virtual.getVirtualItems().map(({ index, start }) => {
            const line = log.lines[index] ?? "";
            return (
              <div
                key={index}
                style={{ transform: `translateY(${start}px)`, height: LINE }}
                className={cx(
                  "absolute top-0 left-0 min-w-full px-3 leading-[18px] whitespace-pre",
                  needle && line.toLowerCase().includes(needle) && "bg-warn-soft",
                )}
              >
                {line.slice(0, 5000)}
              </div>
            );
          })}
        </div>
      </div>
    </div>
  );
}
