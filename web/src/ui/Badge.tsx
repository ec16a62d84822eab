import type { ReactNode } from "react";

import { cx } from "./classes";

export type Tone = "neutral" | "ok" | "warn" | "bad" | "info" | "accent";

const TONES: Record<Tone, string> = {
  neutral: "bg-surface-2 text-text-2",
  ok: "bg-ok-soft text-ok",
  warn: "bg-warn-soft text-warn",
  bad: "bg-bad-soft text-bad",
  info: "bg-info-soft text-info",
  accent: "bg-accent-soft text-accent",
};

/** A word about a thing: a type, a state, a count. */
export function Badge(props: { tone?: Tone; dot?: boolean; title?: string; children: ReactNode }) {
  const { tone = "neutral", dot, title, children } = props;
  return (
    <span
      title={title}
      className={cx(
        "inline-flex h-[18px] items-center gap-1 rounded-sm px-1.5 text-xs font-medium whitespace-nowrap",
        TONES[tone],
      )}
    >
      {dot && <span aria-hidden className="size-1.5 rounded-full bg-current" />}
      {children}
    </span>
  );
}

const STATES: Record<string, Tone> = {
  FINISHED: "ok",
  SUCCEEDED: "ok",
  OK: "ok",
  FAILED: "bad",
  LOST: "bad",
  TIMED_OUT: "bad",
  CANCELED: "neutral",
  CANCELLED: "neutral",
  RUNNING: "info",
  STARTING: "info",
  PLANNING: "info",
  RETRYING: "warn",
  QUEUED: "warn",
  WAITING: "warn",
  PENDING: "warn",
};

/** Statements and runs are spoken of in the same words. */
const WORDS: Record<string, string> = { FINISHED: "succeeded", CANCELED: "cancelled" };

/** The state of a query or a run, in words and in its colour. */
export function StateBadge({ state }: { state: string }) {
  const words = WORDS[state.toUpperCase()] ?? state.replaceAll("_", " ").toLowerCase();
  return (
    <Badge tone={STATES[state.toUpperCase()] ?? "neutral"} dot>
      {words.charAt(0).toUpperCase() + words.slice(1)}
    </Badge>
  );
}
