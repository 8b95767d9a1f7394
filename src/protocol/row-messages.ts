/**
 * Builds results: the console's tables, and what a scripted server answers. Always in text format.
 */

import type { ToClient } from "./direction.ts";
import { Backend } from "./message-type.ts";
import { MessageWriter } from "./writer.ts";

/** A PostgreSQL type: its OID in `pg_type` and its size there; -1 is a size that varies. */
export interface ColumnType {
  readonly oid: number;
  readonly sizeBytes: number;
}

export const ColumnTypes = {
  Bool: { oid: 16, sizeBytes: 1 },
  Bytea: { oid: 17, sizeBytes: -1 },
  Int8: { oid: 20, sizeBytes: 8 },
  Int4: { oid: 23, sizeBytes: 4 },
  Text: { oid: 25, sizeBytes: -1 },
  Numeric: { oid: 1700, sizeBytes: -1 },
} as const satisfies Record<string, ColumnType>;

export interface Column {
  readonly name: string;
  readonly type: ColumnType;
}

/** Columns that belong to no table. At most 65535. */
export function rowDescription(columns: readonly Column[]): ToClient {
  const writer = new MessageWriter().message(Backend.RowDescription).int16(columns.length);
  for (const { name, type } of columns) {
    writer.cstring(name).int32(0).int16(0).int32(type.oid).int16(type.sizeBytes).int32(-1).int16(0);
  }
  return writer.end().finish() as ToClient;
}

/** One value a column; null is NULL. */
export function dataRow(values: readonly (string | null)[]): ToClient {
  const writer = new MessageWriter().message(Backend.DataRow).int16(values.length);
  for (const value of values) writer.value(value);
  return writer.end().finish() as ToClient;
}
