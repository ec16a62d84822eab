import type { ReactNode } from "react";

import { Tooltip } from "@/ui";
import { count, percent, shortCount } from "@/ui/format";

import type { Figures } from "./types";

const HEIGHT = 20;
const WIDTH = 96;

/** How a column's values are spread: bars for numbers and times, shares for texts. */
export function Distribution({ figures, looked }: { figures: Figures; looked: number }): ReactNode {
  const filled = looked - figures.nulls;
  if (figures.bars.length > 0) return <Bars figures={figures} filled={filled} />;
  if (figures.top.length > 0) return <Top figures={figures} filled={filled} />;
  return <span className="text-text-3">–</span>;
}

function Bars({ figures, filled }: { figures: Figures; filled: number }): ReactNode {
  if (figures.bars.length === 1) return <span className="text-text-3 text-sm">one value</span>;
  const most = Math.max(...figures.bars, 1);
  const step = WIDTH / figures.bars.length;
  const words = `${ends(figures)}; ${count(filled)} values`;
  return (
    <Tooltip text={words}>
      <svg role="img" aria-label={`Distribution: ${words}`} width={WIDTH} height={HEIGHT} className="text-accent block" tabIndex={-1}>
        <line x1={0} x2={WIDTH} y1={HEIGHT - 0.5} y2={HEIGHT - 0.5} stroke="var(--border-2)" />
        {figures.bars.map((value, index) => {
          // A bar that is there is seen, however small its share.
          const high = value === 0 ? 0 : Math.max(1.5, (value / most) * (HEIGHT - 2));
          return (
            <rect key={index} x={index * step + 0.5} y={HEIGHT - 1 - high} width={Math.max(1, step - 1)} height={high} fill="currentColor" />
          );
        })}
      </svg>
    </Tooltip>
  );
}

const SHADES = [1, 0.72, 0.52, 0.38, 0.28, 0.2];

function Top({ figures, filled }: { figures: Figures; filled: number }): ReactNode {
  const known = figures.top.reduce((sum, [, times]) => sum + times, 0);
  // Texts that are nearly all different say nothing by their commonest values.
  if (filled === 0 || known / filled < 0.02) {
    return <span className="text-text-3 text-sm">{(figures.distinct ?? 0) > filled * 0.9 ? "mostly unique" : "many values"}</span>;
  }
  let at = 0;
  const lines = figures.top.slice(0, 4).map(([value, times]) => `${clip(value)} ${percent(times / filled)}`);
  return (
    <Tooltip text={lines.join(" · ")}>
      <svg role="img" aria-label={`Commonest values: ${lines.join(", ")}`} width={WIDTH} height={HEIGHT} className="text-accent block" tabIndex={-1}>
        <rect x={0} y={6} width={WIDTH} height={8} fill="var(--surface-2)" />
        {figures.top.map(([value, times], index) => {
          const width = (times / filled) * WIDTH;
          const bar = <rect key={value} x={at} y={6} width={Math.max(0.5, width - 0.5)} height={8} fill="currentColor" opacity={SHADES[index] ?? 0.2} />;
          at += width;
          return bar;
        })}
      </svg>
    </Tooltip>
  );
}

/** The share of rows without a value. */
export function Nulls({ figures, looked }: { figures: Figures; looked: number }): ReactNode {
  if (looked === 0) return <span className="text-text-3">–</span>;
  const share = figures.nulls / looked;
  if (share === 0) return <span className="text-text-3">0</span>;
  return <span title={`${count(figures.nulls)} of ${count(looked)} rows have no value`}>{share < 0.001 ? "< 0.1 %" : percent(share)}</span>;
}

/** About how many different values there are. */
export function Distinct({ figures }: { figures: Figures }): ReactNode {
  if (figures.distinct == null) return <span className="text-text-3">–</span>;
  return <span title={`about ${count(figures.distinct)} different values`}>{shortCount(figures.distinct)}</span>;
}

const clip = (text: string): string => (text.length > 24 ? `${text.slice(0, 24)}…` : text);

/** The least and the greatest value. */
export function ends(figures: Figures): string {
  if (figures.low == null || figures.high == null) return "";
  if (figures.low === figures.high) return written(figures.low);
  const [low, high] = [written(figures.low), written(figures.high)];
  // Of times that lie days apart, the days say enough.
  const days = typeof figures.low === "string" && low.slice(0, 10) !== high.slice(0, 10);
  return days ? `${low.slice(0, 10)} – ${high.slice(0, 10)}` : `${low} – ${high}`;
}

function written(value: number | string): string {
  if (typeof value === "string") return value.replace("T", " ").replace("+00:00", "");
  if (Number.isInteger(value)) return count(value);
  return Math.abs(value) >= 1e6 || Math.abs(value) < 1e-3 ? value.toPrecision(4) : String(Number(value.toFixed(3)));
}
