import { cx, Tooltip } from "@/ui";
import { dateTime, duration } from "@/ui/format";

export interface Span {
  label: string;
  from: number;
  /** Null: it goes on. */
  to: number | null;
  tone: "wait" | "run" | "ok" | "bad" | "off";
}

const TONES = {
  wait: "bg-warn/60",
  run: "bg-info",
  ok: "bg-ok",
  bad: "bg-bad",
  off: "bg-text-3",
};

/** What happened when, as bars of one line each over a common time. */
export function Timeline({ spans, now }: { spans: readonly Span[]; now: number }) {
  if (spans.length === 0) return null;
  const begin = Math.min(...spans.map((span) => span.from));
  const end = Math.max(...spans.map((span) => span.to ?? now), begin + 1);
  const whole = end - begin;
  return (
    <div role="list" aria-label="Timeline" className="flex flex-col gap-1">
      {spans.map((span, index) => {
        const to = span.to ?? now;
        const left = ((span.from - begin) / whole) * 100;
        const width = Math.max(0.4, ((to - span.from) / whole) * 100);
        return (
          <div role="listitem" key={index} className="grid grid-cols-[8rem_1fr_5rem] items-center gap-3">
            <span className="text-text-2 truncate">{span.label}</span>
            <Tooltip text={`${dateTime(span.from)} – ${span.to ? dateTime(span.to) : "now"}`}>
              <span className="bg-surface-2 relative block h-4 overflow-hidden rounded-sm">
                <span
                  className={cx("absolute inset-y-0 rounded-sm", TONES[span.tone], span.to === null && "animate-pulse")}
                  style={{ left: `${Math.min(left, 99.6)}%`, width: `${width}%` }}
                />
              </span>
            </Tooltip>
            <span className="num">{duration(to - span.from)}</span>
          </div>
        );
      })}
    </div>
  );
}
