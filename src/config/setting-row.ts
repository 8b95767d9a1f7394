/**
 * What a row of the settings table holds, and what follows from it: the name and the type of the field in `Settings`.
 *
 * The rows themselves stand in the files `*-settings.ts`, by theme; `settings-table.ts` puts them in SHOW CONFIG's order.
 */
import type { NameList } from "./name-list.ts";
import type { Secret } from "./secret.ts";

/**
 * How a setting is written, and what it is inside.
 *
 * | type         | written                                             | inside                          |
 * |--------------|-----------------------------------------------------|---------------------------------|
 * | int          | whole number, 0x… and leading-0 octal allowed       | number                          |
 * | count        | the same, not negative                              | number                          |
 * | uint         | the same, 0 to 4294967295                           | number                          |
 * | bool         | a number; 0 = no, all else = yes                    | boolean                         |
 * | seconds      | seconds, not negative, fractions allowed            | milliseconds, field ends in Ms  |
 * | wholeSeconds | count of seconds                                    | milliseconds, field ends in Ms  |
 * | milliseconds | count of milliseconds                               | milliseconds, field ends in Ms  |
 * | enum         | one of `values`, in any case                        | that word                       |
 * | string       | any text; the default null stays null inside        | string, or string or null       |
 * | list         | comma-separated names                               | NameList                        |
 * | secret       | any text                                            | Secret or null                  |
 */
export type SettingType =
  | "int"
  | "count"
  | "uint"
  | "bool"
  | "seconds"
  | "wholeSeconds"
  | "milliseconds"
  | "enum"
  | "string"
  | "list"
  | "secret";

export interface SettingRow {
  /** As in the file and in SHOW CONFIG. */
  readonly name: string;
  readonly type: SettingType;
  /** In the file's spelling; null: not set, and a reload that does not name it keeps the running value. */
  readonly default: string | null;
  /** One sentence or two for the reference page. */
  readonly doc: string;
  /** False: fixed at start; a reload or SET is accepted and changes nothing. */
  readonly reloadable?: false;
  /** The key in `[databases]` that overrides it for one database. */
  readonly database?: string;
  /** The key in `[users]` that overrides it for one user. */
  readonly user?: string;
  /** The words an enum takes. */
  readonly values?: readonly string[];
  /** The largest number taken, where the type alone allows more. */
  readonly max?: number;
  /** A name that is refused, and the words for it. */
  readonly refused?: { readonly value: string; readonly message: string };
  /** Sorted under this name instead of its own. */
  readonly sortAs?: string;
}

type Camel<S extends string> = S extends `${infer Head}_${infer Tail}` ? `${Head}${Capitalize<Camel<Tail>>}` : S;

type TimeType = "seconds" | "wholeSeconds" | "milliseconds";

/** The name of a row's field in `Settings`: camel case, with the unit for times. */
export type FieldName<R extends SettingRow> = R["type"] extends TimeType ? `${Camel<R["name"]>}Ms` : Camel<R["name"]>;

/** The type of a row's field in `Settings`. */
export type FieldValue<R extends SettingRow> = R["type"] extends "bool"
  ? boolean
  : R["type"] extends "list"
    ? NameList
    : R["type"] extends "secret"
      ? Secret | null
      : R["type"] extends "enum"
        ? NonNullable<R["values"]>[number]
        : R["type"] extends "string"
          ? R["default"] extends null
            ? string | null
            : string
          : number;

/** Any value a field of `Settings` can have. */
export type SettingValue = boolean | number | string | null | NameList | Secret;

/** The name of a row's field in `Settings`, as `FieldName` says it for the compiler. */
export function fieldNameOf(row: Pick<SettingRow, "name" | "type">): string {
  const camel = row.name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
  return row.type === "seconds" || row.type === "wholeSeconds" || row.type === "milliseconds" ? `${camel}Ms` : camel;
}
