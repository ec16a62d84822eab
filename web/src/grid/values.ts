// Arrow values as text, exactly: no 64-bit integer or decimal goes through a double.

import type { DataType, Decimal, Timestamp, Vector } from "apache-arrow";
import { Type } from "apache-arrow";

const LONGEST_NESTED = 2000;

/** A cell's text; null for NULL. */
export function cellText(vector: Vector, index: number): string | null {
  const value: unknown = vector.get(index);
  return value === null || value === undefined ? null : text(value, vector.type);
}

/** A cell as a number where it has one, for charts; text and times stay text. */
export function cellNumber(vector: Vector, index: number): number | null {
  const value: unknown = vector.get(index);
  if (value === null || value === undefined) return null;
  if (typeof value === "number") return Number.isFinite(value) ? value : null;
  if (typeof value === "bigint") return Number(value);
  if (vector.type.typeId === Type.Decimal) return Number(text(value, vector.type));
  return null;
}

function text(value: unknown, type: DataType): string {
  switch (type.typeId) {
    case Type.Decimal:
      return decimal(value as Uint32Array, (type as Decimal).scale, (type as Decimal).bitWidth ?? 128);
    case Type.Timestamp:
      return timestamp(Number(value), Boolean((type as Timestamp).timezone));
    case Type.Date:
      return new Date(Number(value)).toISOString().slice(0, 10);
    case Type.Time:
      return time(value, type);
    case Type.Binary:
    case Type.LargeBinary:
    case Type.FixedSizeBinary:
      return `0x${Array.from(value as Uint8Array, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
    case Type.List:
    case Type.LargeList:
    case Type.FixedSizeList:
    case Type.Struct:
    case Type.Map:
      return JSON.stringify(plain(value, type)).slice(0, LONGEST_NESTED);
    case Type.Dictionary:
      return typeof value === "string" ? value : String(value);
    default:
      return float(value);
  }
}

function float(value: unknown): string {
  if (typeof value !== "number") return String(value);
  // Like the engines write them: 1.0E20 is no help to anybody, -0 is.
  return Object.is(value, -0) ? "-0" : String(value);
}

function decimal(words: Uint32Array, scale: number, bits: number): string {
  let value = 0n;
  for (let index = words.length - 1; index >= 0; index -= 1) {
    value = (value << 32n) | BigInt(words[index] ?? 0);
  }
  value = BigInt.asIntN(bits, value);
  if (scale <= 0) return String(value * 10n ** BigInt(-scale));
  const digits = String(value < 0n ? -value : value).padStart(scale + 1, "0");
  return `${value < 0n ? "-" : ""}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}

/** From milliseconds with a fraction; that holds microseconds exactly until the year 2255. */
function timestamp(milliseconds: number, zoned: boolean): string {
  const micros = Math.round(milliseconds * 1000);
  const whole = Math.floor(micros / 1_000_000);
  const fraction = micros - whole * 1_000_000;
  const at = new Date(whole * 1000);
  if (Number.isNaN(at.getTime())) return String(milliseconds);
  const seconds = at.toISOString().slice(0, -5).replace("T", " ");
  const tail = fraction ? `.${String(fraction).padStart(6, "0").replace(/0+$/, "")}` : "";
  return seconds + tail + (zoned ? " UTC" : "");
}

function time(value: unknown, type: DataType): string {
  const unit = (type as unknown as { unit: number }).unit;
  const micros = (BigInt(value as number | bigint) * 1_000_000n) / 10n ** BigInt(unit * 3);
  const two = (n: bigint) => String(n).padStart(2, "0");
  const seconds = micros / 1_000_000n;
  const fraction = micros % 1_000_000n;
  const tail = fraction ? `.${String(fraction).padStart(6, "0").replace(/0+$/, "")}` : "";
  return `${two(seconds / 3600n)}:${two((seconds / 60n) % 60n)}:${two(seconds % 60n)}${tail}`;
}

/** A nested value as JSON takes it; children are written as their types say. */
function plain(value: unknown, type: DataType): unknown {
  if (value === null || value === undefined) return null;
  switch (type.typeId) {
    case Type.List:
    case Type.LargeList:
    case Type.FixedSizeList: {
      const child = type.children[0]?.type as DataType;
      return Array.from(value as Iterable<unknown>, (one) => plain(one, child));
    }
    case Type.Struct: {
      const row = value as Record<string, unknown>;
      return Object.fromEntries(type.children.map((field) => [field.name, plain(row[field.name], field.type as DataType)]));
    }
    case Type.Map: {
      const entry = type.children[0]?.type as DataType;
      const kind = entry.children[1]?.type as DataType;
      return Object.fromEntries(Array.from(value as Iterable<[unknown, unknown]>, ([key, one]) => [String(key), plain(one, kind)]));
    }
    case Type.Bool:
      return value;
    default: {
      if (typeof value === "number") return type.typeId === Type.Int || type.typeId === Type.Float ? value : text(value, type);
      return text(value, type);
    }
  }
}
