import { Badge, type Tone } from "@/ui";

const TONES: Record<string, Tone> = {
  running: "info",
  waiting: "warn",
  success: "ok",
  failed: "bad",
  cancelled: "neutral",
};
const WORDS: Record<string, string> = {
  running: "Running",
  waiting: "Waiting",
  success: "Succeeded",
  failed: "Failed",
  cancelled: "Cancelled",
};

/** The phase of a statement or run, in words and in its colour. */
export function PhaseBadge({ phase, state }: { phase: string; state?: string }) {
  return (
    <Badge tone={TONES[phase] ?? "neutral"} dot title={state}>
      {WORDS[phase] ?? phase}
    </Badge>
  );
}
