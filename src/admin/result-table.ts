/**
 * The console's results: typed columns, and their values as messages.
 *
 * Values are text in text format unless a client of the extended protocol asks for binary (column by column, as Bind
 * says). Columns belong to no table. Counterpart: PgBouncer's `pktbuf_write_RowDescription` and `pktbuf_write_DataRow`.
 */
import { Backend } from "../protocol/message-type.ts";
import type { Column } from "../protocol/row-messages.ts";
import { ColumnTypes } from "../protocol/row-messages.ts";
import { MessageWriter } from "../protocol/writer.ts";

/** A value of a column: text columns take strings, the others numbers. */
export type CellValue = string | number | null;

/** Format codes of the protocol. */
export const Format = { text: 0, binary: 1 } as const;

export const textColumn = (name: string): Column => ({ name, type: ColumnTypes.Text });
export const int4Column = (name: string): Column => ({ name, type: ColumnTypes.Int4 });
export const int8Column = (name: string): Column => ({ name, type: ColumnTypes.Int8 });
export const numericColumn = (name: string): Column => ({ name, type: ColumnTypes.Numeric });

/** RowDescription. `formats`: one for each column; missing ones are text. */
export function describeRows(columns: readonly Column[], formats: readonly number[]): Uint8Array {
  const writer = new MessageWriter().message(Backend.RowDescription).int16(columns.length);
  for (const [index, { name, type }] of columns.entries()) {
    writer.cstring(name).int32(0).int16(0).int32(type.oid).int16(type.sizeBytes).int32(-1);
    writer.int16(formats[index] ?? Format.text);
  }
  return writer.end().finish();
}

/** DataRow of one value for each column. */
export function encodeRow(
  columns: readonly Column[],
  formats: readonly number[],
  values: readonly CellValue[],
): Uint8Array {
  const writer = new MessageWriter().message(Backend.DataRow).int16(columns.length);
  for (const [index, { type }] of columns.entries()) {
    const value = values[index] ?? null;
    if (value === null) writer.value(null);
    else if ((formats[index] ?? Format.text) === Format.text) writer.value(String(value));
    else writer.value(encodeBinary(type.oid, value));
  }
  return writer.end().finish();
}

function encodeBinary(oid: number, value: string | number): string | Uint8Array {
  switch (oid) {
    case ColumnTypes.Int4.oid:
      return new MessageWriter(4).int32(Math.trunc(Number(value)) | 0).finish();
    case ColumnTypes.Int8.oid:
      return encodeInt8(Number(value));
    case ColumnTypes.Numeric.oid:
      return encodeNumeric(Number(value));
    default:
      return String(value);
  }
}

function encodeInt8(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigInt64(0, BigInt(Math.trunc(value)));
  return bytes;
}

/**
 * PostgreSQL's `numeric_send`, for whole numbers that are not negative (counters and times are all there is here):
 *
 *     count of digits | weight of the first | sign 0 | scale 0 | digits to the base 10,000      (2 bytes each)
 */
function encodeNumeric(value: number): Uint8Array {
  const digits: number[] = [];
  for (let rest = BigInt(Math.max(0, Math.trunc(value))); rest > 0n; rest /= 10_000n) {
    digits.unshift(Number(rest % 10_000n));
  }
  const weight = Math.max(0, digits.length - 1);
  while (digits.at(-1) === 0) digits.pop();
  const writer = new MessageWriter(8 + digits.length * 2).int16(digits.length).int16(weight).int16(0).int16(0);
  for (const digit of digits) writer.int16(digit);
  return writer.finish();
}
