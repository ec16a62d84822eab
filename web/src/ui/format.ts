// How the studio writes sizes, counts, times: one way everywhere.

const UNITS = ["B", "kB", "MB", "GB", "TB", "PB"];
const whole = new Intl.NumberFormat("en-US");
const compact = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });

/** Bytes in decimal units: 1.2 MB. */
export function bytes(value: number | null | undefined): string {
  if (value == null) return "–";
  let amount = value;
  let unit = 0;
  while (Math.abs(amount) >= 1000 && unit < UNITS.length - 1) {
    amount /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? amount : amount.toFixed(amount < 10 ? 1 : 0)} ${UNITS[unit]}`;
}

/** A count with thousands separators. */
export function count(value: number | bigint | null | undefined): string {
  return value == null ? "–" : whole.format(value);
}

/** A count in few characters: 1.2M. */
export function shortCount(value: number | null | undefined): string {
  return value == null ? "–" : compact.format(value);
}

/** "3 rows", "1 row". */
export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** Milliseconds as people say them: 340 ms, 2.4 s, 3 m 12 s. */
export function duration(ms: number | null | undefined): string {
  if (ms == null || Number.isNaN(ms)) return "–";
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
  const seconds = ms / 1000;
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} m ${Math.floor(seconds % 60)} s`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} m` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** How long ago a time in Unix milliseconds was. */
export function ago(ms: number | null | undefined, now = Date.now()): string {
  if (ms == null) return "–";
  const seconds = Math.round((now - ms) / 1000);
  if (seconds < 5) return "just now";
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
  if (seconds < 7 * 86400) return `${Math.floor(seconds / 86400)} d ago`;
  return dateTime(ms).slice(0, 10);
}

/** Local date and time, sortable: 2026-11-22 18:04:31. */
export function dateTime(ms: number | null | undefined): string {
  if (ms == null) return "–";
  const at = new Date(ms);
  const two = (n: number) => String(n).padStart(2, "0");
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return `${day} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

/** A share of 1 as a percentage. */
export function percent(share: number | null | undefined): string {
  if (share == null) return "–";
  const value = share * 100;
  return `${value === 0 || value >= 10 ? Math.round(value) : value.toFixed(1)} %`;
}
