// From rows to the points of a chart: groups, aggregates, the largest and the rest.

import type { Table } from "apache-arrow";

import { type GridColumn, isNumber, isTime } from "@/grid/source";
import { cellNumber, cellText } from "@/grid/values";

import type { Aggregate, ChartSpec } from "./spec";

const MOST_BARS = 30;
const MOST_SERIES = 8;
const BINS = 24;
const OTHER = "Other";

export interface Series {
  name: string;
  /** One value for each of the chart's labels; null where there is none. */
  values: (number | null)[];
}

export interface Points {
  kind: "labels" | "values";
  labels: string[];
  series: Series[];
  /** For a scatter: pairs. */
  pairs: [number, number][];
  xName: string;
  yName: string;
}

class Bucket {
  sum = 0;
  count = 0;
  min = Number.POSITIVE_INFINITY;
  max = Number.NEGATIVE_INFINITY;

  add(value: number) {
    this.sum += value;
    this.count += 1;
    this.min = Math.min(this.min, value);
    this.max = Math.max(this.max, value);
  }

  value(how: Aggregate): number | null {
    if (this.count === 0) return null;
    if (how === "count") return this.count;
    return how === "avg" ? this.sum / this.count : this[how];
  }
}

/** The points of a spec over rows that are here. */
export function points(spec: ChartSpec, tables: readonly Table[], columns: readonly GridColumn[]): Points {
  const name = (index: number) => columns[index]?.name ?? "";
  const out: Points = { kind: "labels", labels: [], series: [], pairs: [], xName: name(spec.x), yName: spec.y.map(name).join(", ") };
  if (spec.mark === "scatter") return scatter(spec, tables, out);
  if (spec.mark === "histogram") return histogram(spec, tables, out);
  const counting = spec.y.length === 0 || spec.aggregate === "count";
  const groups = new Map<string, Map<string, Bucket>>();
  const names = new Map<string, number>();
  for (const table of tables) {
    const x = table.getChildAt(spec.x);
    const split = spec.series === null ? null : table.getChildAt(spec.series);
    const ys = counting ? [null] : spec.y.map((index) => table.getChildAt(index));
    if (!x) continue;
    for (let row = 0; row < table.numRows; row += 1) {
      const label = cellText(x, row) ?? "NULL";
      const group = groups.get(label) ?? new Map<string, Bucket>();
      groups.set(label, group);
      ys.forEach((y, at) => {
        const key = split ? (cellText(split, row) ?? "NULL") : counting ? "rows" : name(spec.y[at] ?? 0);
        const value = y ? cellNumber(y, row) : 1;
        if (value === null) return;
        const bucket = group.get(key) ?? new Bucket();
        bucket.add(value);
        group.set(key, bucket);
        names.set(key, (names.get(key) ?? 0) + Math.abs(value));
      });
    }
  }
  if (counting) out.yName = "rows";
  const kept = [...names.entries()].sort((one, other) => other[1] - one[1]).slice(0, MOST_SERIES).map(([key]) => key);
  const order = spec.series === null ? [...names.keys()].slice(0, MOST_SERIES) : kept;
  const how: Aggregate = counting ? "sum" : spec.aggregate;
  let labels = [...groups.keys()];
  const type = columns[spec.x]?.type ?? "";
  if (spec.mark === "line" || isNumber(type) || isTime(type)) labels = ordered(labels, isNumber(type));
  let rest: string[] = [];
  if (spec.mark === "bar" && labels.length > MOST_BARS && !isTime(type)) {
    const size = (label: string) => Math.max(...[...(groups.get(label)?.values() ?? [])].map((bucket) => Math.abs(bucket.value(how) ?? 0)));
    const largest = [...labels].sort((one, other) => size(other) - size(one));
    rest = largest.slice(MOST_BARS);
    const keep = new Set(largest.slice(0, MOST_BARS));
    labels = labels.filter((label) => keep.has(label));
  }
  out.labels = labels;
  out.series = order.map((key) => ({
    name: key,
    values: labels.map((label) => groups.get(label)?.get(key)?.value(how) ?? null),
  }));
  // The rest can be told for what adds up only.
  if (rest.length > 0 && (how === "sum" || how === "count")) {
    out.labels = [...labels, `${OTHER} (${rest.length})`];
    for (const series of out.series) {
      series.values.push(rest.reduce((sum, label) => sum + (groups.get(label)?.get(series.name)?.value(how) ?? 0), 0));
    }
  }
  return out;
}

function ordered(labels: string[], numeric: boolean): string[] {
  return [...labels].sort((one, other) => (numeric ? Number(one) - Number(other) : one < other ? -1 : one > other ? 1 : 0));
}

function scatter(spec: ChartSpec, tables: readonly Table[], out: Points): Points {
  const y = spec.y[0];
  for (const table of tables) {
    const across = table.getChildAt(spec.x);
    const up = y === undefined ? null : table.getChildAt(y);
    if (!across || !up) continue;
    for (let row = 0; row < table.numRows; row += 1) {
      const [a, b] = [cellNumber(across, row), cellNumber(up, row)];
      if (a !== null && b !== null) out.pairs.push([a, b]);
    }
  }
  return { ...out, kind: "values" };
}

function histogram(spec: ChartSpec, tables: readonly Table[], out: Points): Points {
  const values: number[] = [];
  for (const table of tables) {
    const vector = table.getChildAt(spec.x);
    for (let row = 0; vector && row < table.numRows; row += 1) {
      const value = cellNumber(vector, row);
      if (value !== null) values.push(value);
    }
  }
  if (values.length === 0) return out;
  const low = values.reduce((least, value) => Math.min(least, value));
  const high = values.reduce((most, value) => Math.max(most, value));
  const width = (high - low) / BINS || 1;
  const bins = new Array<number>(high === low ? 1 : BINS).fill(0);
  for (const value of values) {
    const bin = Math.min(bins.length - 1, Math.floor((value - low) / width));
    bins[bin] = (bins[bin] ?? 0) + 1;
  }
  out.labels = bins.map((_, bin) => short(low + bin * width));
  out.series = [{ name: "rows", values: bins }];
  out.yName = "rows";
  return out;
}

function short(value: number): string {
  return Number(value.toPrecision(4)).toString();
}
