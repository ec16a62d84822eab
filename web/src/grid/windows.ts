// The part of a result that the browser holds: windows of rows around where one looks.

import type { Table } from "apache-arrow";

import { ConnectionError, isAbort } from "@/api/errors";

import type { GridSource, View } from "./source";

const CELLS = 24_000;
const MOST_WINDOWS = 48;
const RETRY_MS = 1500;
const GROWING_MS = 400;

/** Fetches windows, keeps the latest, and tells when something came. */
export class Windows {
  readonly size: number;
  rows: number;
  final = false;
  error: unknown = null;
  private readonly held = new Map<number, Table[]>();
  private readonly asked = new Map<number, AbortController>();
  private closed = false;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly source: GridSource,
    private readonly view: View,
    private readonly changed: () => void,
  ) {
    const plain = view.filters.length === 0;
    this.rows = plain ? (source.rows ?? 0) : 0;
    this.size = Math.min(2000, Math.max(100, Math.floor(CELLS / Math.max(1, source.columns.length) / 100) * 100));
  }

  /** The table that holds a row, and the row's place in it; null when it is not here. */
  find(row: number): { table: Table; index: number } | null {
    const number = Math.floor(row / this.size);
    const tables = this.held.get(number);
    if (!tables) return null;
    let index = row - number * this.size;
    for (const table of tables) {
      if (index < table.numRows) return { table, index };
      index -= table.numRows;
    }
    return null;
  }

  /** True when all rows of a range are here. */
  has(first: number, last: number): boolean {
    for (let number = Math.floor(first / this.size); number <= Math.floor(last / this.size); number += 1) {
      if (number * this.size < this.rows && !this.held.has(number)) return false;
    }
    return true;
  }

  /** Asks for the rows in sight and, ahead of the movement, for the next; drops what is far. */
  need(first: number, last: number, direction: number): void {
    const from = Math.floor(first / this.size);
    const to = Math.floor(last / this.size);
    const wanted = new Set<number>();
    for (let number = from; number <= to; number += 1) wanted.add(number);
    wanted.add(direction < 0 ? from - 1 : to + 1);
    for (const [number, aborter] of this.asked) {
      if (number < from - 1 || number > to + 1) {
        aborter.abort();
        this.asked.delete(number);
      }
    }
    for (const number of wanted) {
      if (number < 0 || this.held.has(number) || this.asked.has(number)) continue;
      if (number > 0 && number * this.size >= this.rows) continue;
      void this.load(number);
    }
    const spare = [...this.held.keys()].filter((number) => number < from - 4 || number > to + 4);
    for (const number of spare.slice(0, Math.max(0, this.held.size - MOST_WINDOWS))) this.held.delete(number);
  }

  /** The rows from `first` on, wherever they are; for copying. */
  async fetch(first: number, count: number, signal: AbortSignal): Promise<Table[]> {
    const tables: Table[] = [];
    for (let offset = first; offset < first + count; ) {
      const got = await this.source.window(offset, Math.min(5000, first + count - offset), this.view, signal);
      if (got.table.numRows === 0) break;
      tables.push(got.table);
      offset += got.table.numRows;
    }
    return tables;
  }

  /** Ends all requests. */
  close(): void {
    this.closed = true;
    clearTimeout(this.timer);
    for (const aborter of this.asked.values()) aborter.abort();
  }

  private async load(number: number): Promise<void> {
    const aborter = new AbortController();
    this.asked.set(number, aborter);
    const start = number * this.size;
    const tables: Table[] = [];
    let filled = 0;
    try {
      for (;;) {
        const got = await this.source.window(start + filled, this.size - filled, this.view, aborter.signal);
        if (this.closed) return;
        this.rows = got.rows;
        this.final = got.final;
        if (got.table.numRows > 0) tables.push(got.table);
        filled += got.table.numRows;
        if (got.table.numRows === 0 || filled >= Math.min(this.size, got.rows - start)) break;
      }
      this.error = null;
      if (filled > 0 || this.final) this.held.set(number, tables);
      if (!this.final && filled < this.size) this.again(number, GROWING_MS);
    } catch (problem) {
      if (isAbort(problem) || this.closed) return;
      if (problem instanceof ConnectionError) this.again(number, RETRY_MS);
      else this.error = problem;
    } finally {
      if (this.asked.get(number) === aborter) this.asked.delete(number);
    }
    if (!this.closed) this.changed();
  }

  private again(number: number, after: number): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      if (!this.closed && !this.asked.has(number)) void this.load(number);
    }, after);
  }
}
