// What a chart shows, as it is kept with a query; and the choice that is made for a result.

import { type GridColumn, isNumber, isTime } from "@/grid/source";

export type Mark = "line" | "bar" | "scatter" | "histogram";
export type Aggregate = "sum" | "avg" | "min" | "max" | "count";

export interface ChartSpec {
  mark: Mark;
  /** Columns by position. */
  x: number;
  y: number[];
  /** The column whose values become series. */
  series: number | null;
  aggregate: Aggregate;
}

export const MARKS: readonly { value: Mark; label: string }[] = [
  { value: "line", label: "Line" },
  { value: "bar", label: "Bar" },
  { value: "scatter", label: "Scatter" },
  { value: "histogram", label: "Histogram" },
];

/** What suits the columns: time and numbers a line, a category and numbers bars, two numbers points. */
export function suggest(
  columns: readonly GridColumn[],
  distinct: (column: number) => number,
  largest: (column: number) => number,
): ChartSpec | null {
  const of = (test: (type: string) => boolean) =>
    columns.flatMap((column, index) => (test(column.type) ? [index] : []));
  const named = (index: number) => columns[index]?.name.toLowerCase() ?? "";
  const numbers = of(isNumber);
  const times = of(isTime);
  const categories = columns.flatMap((column, index) =>
    !isNumber(column.type) && !isTime(column.type) && !/^(list|struct|map|binary|large_)/.test(column.type) ? [index] : [],
  );
  // Keys and years are numbers that nobody adds up.
  const measures = numbers.filter((index) => !/(^|_)(id|key|code|year|month|week|day|hour|zip|number)$|^(id|year|month|week|day|hour)/.test(named(index)));
  const labels = numbers.filter((index) => !measures.includes(index));
  const first = measures[0] ?? numbers[0];
  // On one axis, a small measure beside a large one is a flat line.
  const alike = (index: number) => first === undefined || ratio(largest(index), largest(first)) <= 20;
  const y = (measures.length > 0 ? measures : numbers).filter(alike);
  const base = { series: null, aggregate: "sum" as const };
  // A month or an hour as a number runs along the axis as time does.
  const counted = measures.length > 0 ? labels.find((index) => /year|month|week|day|hour/.test(named(index))) : undefined;
  const time = times[0] ?? counted;
  if (time !== undefined && y.length > 0) {
    const series = categories.find((index) => distinct(index) > 1 && distinct(index) <= 8) ?? null;
    return { ...base, mark: "line", x: time, y: series === null ? y.slice(0, 3) : y.slice(0, 1), series };
  }
  const category = [...categories].sort((one, other) => distinct(other) - distinct(one))[0];
  if (category !== undefined && y.length > 0) {
    const series = categories.find((index) => index !== category && distinct(index) > 1 && distinct(index) <= 8) ?? null;
    return { ...base, mark: "bar", x: category, y: series === null ? y.slice(0, 2) : y.slice(0, 1), series };
  }
  const label = labels[0];
  if (label !== undefined && measures.length > 0) {
    return { ...base, mark: "bar", x: label, y: y.slice(0, 3) };
  }
  const [across, up] = numbers;
  if (across !== undefined && up !== undefined) return { ...base, mark: "scatter", x: across, y: [up] };
  if (across !== undefined) return { ...base, mark: "histogram", x: across, y: [] };
  if (category !== undefined) return { ...base, mark: "bar", x: category, y: [], aggregate: "count" };
  return time === undefined ? null : { ...base, mark: "line", x: time, y: [], aggregate: "count" };
}

function ratio(one: number, other: number): number {
  const [low, high] = [Math.min(one, other), Math.max(one, other)];
  return low > 0 ? high / low : 1;
}

/** False when the spec names columns that the result does not have, as after another query. */
export function fits(spec: ChartSpec, columns: readonly GridColumn[]): boolean {
  const used = [spec.x, ...spec.y, ...(spec.series === null ? [] : [spec.series])];
  return used.every((index) => index >= 0 && index < columns.length) && spec.y.every((index) => isNumber(columns[index]?.type ?? ""));
}
