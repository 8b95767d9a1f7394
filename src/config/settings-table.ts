/**
 * THE settings table: every setting of `[pgbouncer]`, in the order of SHOW CONFIG's rows.
 *
 * One row is one truth: the file loader, SET, SHOW CONFIG, the fields of `Settings` and the reference page all come from
 * here. PgBouncer's counterpart is `bouncer_params` in main.c; its order is by name, with one exception (`sortAs`);
 * settings that PgBouncer has not come behind all of its own.
 */
import { AUTH_SETTINGS } from "./auth-settings.ts";
import { NETWORK_SETTINGS } from "./network-settings.ts";
import { POOLING_SETTINGS } from "./pooling-settings.ts";
import { PROCESS_SETTINGS } from "./process-settings.ts";
import type { FieldName, FieldValue, SettingRow } from "./setting-row.ts";
import { SHARING_SETTINGS } from "./sharing-settings.ts";
import { TIMEOUT_SETTINGS } from "./timeout-settings.ts";
import { TLS_SETTINGS } from "./tls-settings.ts";

/** The rows by theme, for the reference page. */
export const SETTING_THEMES = [
  { title: "Pools", rows: POOLING_SETTINGS },
  { title: "Sharing", rows: SHARING_SETTINGS },
  { title: "Time-outs", rows: TIMEOUT_SETTINGS },
  { title: "Authentication", rows: AUTH_SETTINGS },
  { title: "TLS", rows: TLS_SETTINGS },
  { title: "Network", rows: NETWORK_SETTINGS },
  { title: "Process and log", rows: PROCESS_SETTINGS },
] as const;

type Row = (typeof SETTING_THEMES)[number]["rows"][number];

/** The name of a setting, as in the file. */
export type SettingName = Row["name"];

/** The fields that `Settings` must have, each with its type. */
export type SettingFields = { [R in Row as FieldName<R>]: FieldValue<R> };

/** A row whose name is known to be one of the table's. */
export type NamedSettingRow = SettingRow & { readonly name: SettingName };

/** Every row, in the order of SHOW CONFIG. */
export const SETTINGS_TABLE: readonly NamedSettingRow[] = Object.freeze(
  SETTING_THEMES.flatMap((theme): readonly NamedSettingRow[] => theme.rows).sort((a, b) =>
    (a.sortAs ?? a.name) < (b.sortAs ?? b.name) ? -1 : 1,
  ),
);

const ROWS_BY_NAME: ReadonlyMap<string, NamedSettingRow> = new Map(SETTINGS_TABLE.map((row) => [row.name, row]));

/** The row of a setting; names are case-sensitive. */
export function settingRow(name: string): NamedSettingRow | undefined {
  return ROWS_BY_NAME.get(name);
}
