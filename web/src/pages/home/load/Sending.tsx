import { useQueryClient } from "@tanstack/react-query";
import { CircleAlert, CircleCheck, FileText, X } from "lucide-react";
import { type ReactNode, useEffect, useRef, useState } from "react";

import { isAbort } from "@/api/client";
import { Button, IconButton } from "@/ui";
import { bytes, duration, percent, plural } from "@/ui/format";

import { refusal, send, type Sent } from "./send";

interface SendingProps {
  files: readonly File[];
  limits: { bytes: number; by_disk: boolean; extensions: readonly string[] };
  onDone: (sent: Sent[]) => void;
  onCancel: () => void;
}

type Fate = { sent: number; done?: Sent; error?: unknown; refused?: string };

/** Sends files one after the other, and shows how it goes. */
export function Sending({ files, limits, onDone, onCancel }: SendingProps): ReactNode {
  const client = useQueryClient();
  const [fates, setFates] = useState<readonly Fate[]>(() => files.map((file) => ({ sent: 0, refused: refusal(file, limits) ?? undefined })));
  const [round, setRound] = useState(0);
  const [started] = useState(() => Date.now());
  const stop = useRef(new AbortController());
  const done = useRef(onDone);
  done.current = onDone;
  useEffect(() => {
    const control = new AbortController();
    stop.current = control;
    const put = (index: number, change: Partial<Fate>) => setFates((now) => now.map((fate, at) => (at === index ? { ...fate, ...change } : fate)));
    const run = async () => {
      const arrived: Sent[] = [];
      for (const [index, file] of files.entries()) {
        if (refusal(file, limits)) return;
        put(index, { sent: 0, error: undefined });
        try {
          const sent = await send(file, (count) => put(index, { sent: count }), control.signal);
          put(index, { sent: file.size, done: sent });
          arrived.push(sent);
        } catch (problem) {
          if (!isAbort(problem)) put(index, { error: problem });
          return;
        }
      }
      void client.invalidateQueries({ queryKey: ["home", "limits"] });
      done.current(arrived);
    };
    void run();
    return () => control.abort();
  }, [files, limits, round, client]);
  const total = files.reduce((sum, file) => sum + file.size, 0);
  const sent = fates.reduce((sum, fate) => sum + fate.sent, 0);
  const share = total ? Math.min(1, sent / total) : 0;
  const seconds = (Date.now() - started) / 1000;
  const left = share > 0.02 && seconds > 2 ? (seconds / share) * (1 - share) : null;
  const failed = fates.find((fate) => fate.error !== undefined || fate.refused);
  return (
    <section aria-label="Sending" className="bg-surface flex flex-col gap-3 rounded-lg border p-4">
      <header className="flex items-center gap-3">
        <h2 className="font-semibold">{failed ? "A file could not be sent" : "Sending"}</h2>
        <span className="text-text-2 flex-1 tabular-nums">
          {!failed && `${bytes(sent)} of ${bytes(total)}${left ? `, about ${duration(left * 1000)} left` : ""}`}
        </span>
        {failed?.error !== undefined && <Button onClick={() => setRound(round + 1)}>Try again</Button>}
        <Button icon={X} onClick={() => { stop.current.abort(); onCancel(); }}>{failed ? "Choose others" : "Cancel"}</Button>
      </header>
      <div role="progressbar" aria-label="Sent" aria-valuenow={Math.round(share * 100)} aria-valuemin={0} aria-valuemax={100} className="bg-surface-2 h-1.5 overflow-hidden rounded-full">
        <div className="bg-accent h-full transition-[width]" style={{ width: `${share * 100}%` }} />
      </div>
      <ul className="flex max-h-72 flex-col gap-1 overflow-auto">
        {files.map((file, index) => {
          const fate = fates[index];
          const wrong = fate?.refused ?? (fate?.error instanceof Error ? fate.error.message : null);
          const Icon = wrong ? CircleAlert : fate?.done ? CircleCheck : FileText;
          return (
            <li key={`${file.name}/${index}`} className="flex items-center gap-2">
              <Icon aria-hidden size={14} className={wrong ? "text-bad" : fate?.done ? "text-ok" : "text-text-3"} />
              <bdi className="truncate">{file.name}</bdi>
              <span className={wrong ? "text-bad min-w-0 truncate" : "text-text-3 tabular-nums"} title={wrong ?? undefined}>
                {wrong ?? (fate && fate.sent > 0 && !fate.done ? percent(fate.sent / file.size) : bytes(file.size))}
              </span>
            </li>
          );
        })}
      </ul>
    </section>
  );
}

/** A file that was sent, with a way to take it out again. */
export function SentFile({ file, onRemove }: { file: Sent; onRemove?: () => void }): ReactNode {
  return (
    <span className="bg-surface-2 inline-flex h-6 max-w-72 items-center gap-1.5 rounded-md border px-2">
      <FileText aria-hidden size={13} className="text-text-3 shrink-0" />
      <bdi className="truncate">{file.name}</bdi>
      <span className="text-text-3 shrink-0 text-sm tabular-nums">{(file.files ?? 1) > 1 && `${plural(file.files ?? 1, "file")}, `}{bytes(file.bytes)}</span>
      {onRemove && <IconButton size="sm" icon={X} label={`Leave out ${file.name}`} onClick={onRemove} />}
    </span>
  );
}
