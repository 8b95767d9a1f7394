/**
 * The settings as the running pooler reads them: one object with one plain field per row of the settings table.
 *
 * There is one such object per pooler. It is changed in place by a reload (`copySettings`) and by SET (`setSetting`), so
 * that all who hold it see the new values at once. All times are milliseconds. Functions, not methods, work on it: its
 * fields are the settings and nothing else.
 */
import type { NameList } from "./name-list.ts";
import type { Secret } from "./secret.ts";
import type { SettingRow, SettingValue } from "./setting-row.ts";
import { fieldNameOf } from "./setting-row.ts";
import type { AuthType, PoolMode, SslMode } from "./setting-words.ts";
import type { NamedSettingRow, SettingFields, SettingName } from "./settings-table.ts";
import { SETTINGS_TABLE, settingRow } from "./settings-table.ts";
import { defaultSettingValue, parseSettingValue, printSettingValue, sameSettingValue } from "./setting-value.ts";

/**
 * The fields are spelled out, and not made in a loop, so that the object has one fixed layout from its first moment;
 * `implements` makes the compiler compare them with the table.
 */
export class Settings implements SettingFields {
  adminUsers!: NameList;
  applicationNameAddHost!: boolean;
  authDbname!: string | null;
  authFile!: string | null;
  authHbaFile!: string;
  authIdentFile!: string | null;
  authLdapOptions!: Secret | null;
  authQuery!: string;
  authType!: AuthType;
  authUser!: string | null;
  autodbIdleTimeoutMs!: number;
  cancelWaitTimeoutMs!: number;
  clientIdleTimeoutMs!: number;
  clientLoginTimeoutMs!: number;
  clientTls13Ciphers!: string | null;
  clientTlsCaFile!: string;
  clientTlsCertFile!: string;
  clientTlsCiphers!: string;
  clientTlsDheparams!: string;
  clientTlsEcdhcurve!: string;
  clientTlsKeyFile!: string;
  clientTlsProtocols!: string;
  clientTlsSslmode!: SslMode;
  conffile!: string | null;
  defaultPoolSize!: number;
  disablePqexec!: boolean;
  dnsMaxTtlMs!: number;
  dnsNxdomainTtlMs!: number;
  dnsZoneCheckPeriodMs!: number;
  idleTransactionTimeoutMs!: number;
  ignoreStartupParameters!: NameList;
  jobName!: string;
  listenAddr!: NameList;
  listenBacklog!: number;
  listenPort!: number;
  logConnections!: boolean;
  logDisconnections!: boolean;
  logPoolerErrors!: boolean;
  logStats!: boolean;
  logfile!: string;
  loginNotifyMessage!: string;
  maxClientConn!: number;
  maxDbClientConnections!: number;
  maxDbConnections!: number;
  maxPacketSize!: number;
  maxPreparedStatements!: number;
  maxUserClientConnections!: number;
  maxUserConnections!: number;
  minPoolSize!: number;
  peerId!: number;
  pidfile!: string;
  pktBuf!: number;
  poolMode!: PoolMode;
  poolIdleTimeoutMs!: number;
  queryTimeoutMs!: number;
  queryWaitNotifyMs!: number;
  queryWaitTimeoutMs!: number;
  reservePoolSize!: number;
  reservePoolTimeoutMs!: number;
  resolvConf!: string;
  sbufLoopcnt!: number;
  scramIterations!: number;
  serverCheckDelayMs!: number;
  serverCheckQuery!: string;
  serverConnectTimeoutMs!: number;
  serverFastClose!: boolean;
  serverIdleTimeoutMs!: number;
  serverLifetimeMs!: number;
  serverLoginRetryMs!: number;
  serverResetQuery!: string;
  serverResetQueryAlways!: boolean;
  serverRoundRobin!: boolean;
  serverTls13Ciphers!: string | null;
  serverTlsCaFile!: string;
  serverTlsCertFile!: string;
  serverTlsCiphers!: string;
  serverTlsKeyFile!: string;
  serverTlsProtocols!: string;
  serverTlsSslmode!: SslMode;
  soReuseport!: boolean;
  statsPeriodMs!: number;
  statsUsers!: NameList;
  suspendTimeoutMs!: number;
  syslog!: boolean;
  syslogFacility!: string;
  syslogIdent!: string;
  tcpDeferAccept!: boolean;
  tcpKeepalive!: boolean;
  tcpKeepcnt!: number;
  tcpKeepidle!: number;
  tcpKeepintvl!: number;
  tcpSocketBuffer!: number;
  tcpUserTimeoutMs!: number;
  trackExtraParameters!: NameList;
  transactionTimeoutMs!: number;
  unixSocketDir!: string;
  unixSocketGroup!: string;
  unixSocketMode!: number;
  user!: string | null;
  verbose!: number;
  anonymousStatements!: boolean;
  deferredBeginMs!: number;
  disconnectedQueryTimeoutMs!: number;
  sharing!: boolean;
  sharingDepth!: number;
  sharingLowMark!: number;
  sharingShortBytes!: number;
  sharingShortRuns!: number;
  sharingShortTimeMs!: number;

  /** Every setting at its default. */
  constructor() {
    for (const row of SETTINGS_TABLE) writeSetting(this, row, defaultSettingValue(row));
  }
}

/** One row of SHOW CONFIG. */
export interface ConfigRow {
  readonly key: SettingName;
  readonly value: string | null;
  readonly default: string | null;
  readonly changeable: "yes" | "no";
}

/** The rows of SHOW CONFIG, in its order. */
export function showSettings(settings: Settings): ConfigRow[] {
  return SETTINGS_TABLE.map((row) => ({
    key: row.name,
    value: printSettingValue(row, read(settings, row)),
    default: row.default,
    changeable: isReloadable(row) ? "yes" : "no",
  }));
}

/** One setting as SHOW CONFIG prints it; null when it is not set. */
export function showSetting(settings: Settings, name: SettingName): string | null {
  const row = settingRow(name);
  return row === undefined ? null : printSettingValue(row, read(settings, row));
}

/** What became of an attempt to set something: the setting's name, or why not. */
export type SetResult =
  | { readonly ok: true; readonly name: SettingName; readonly changed: boolean }
  | { readonly ok: false; readonly reason: string };

/**
 * The console's SET: the text is read as in the file. Settings that are fixed at start are accepted and not changed.
 * `reason` is for the log; the console answers `SET failed`.
 */
export function setSetting(settings: Settings, name: string, text: string): SetResult {
  const row = settingRow(name);
  if (row === undefined) return { ok: false, reason: `unknown parameter: pgbouncer/${name}` };
  if (!isReloadable(row)) return { ok: true, name: row.name, changed: false };
  const parsed = parseSettingValue(row, text);
  if (!parsed.ok) return { ok: false, reason: parsed.reason ?? `invalid value "${text}" for parameter ${name}` };
  const changed = !sameSettingValue(read(settings, row), parsed.value);
  writeSetting(settings, row, parsed.value);
  return { ok: true, name: row.name, changed };
}

/** Sets a value that `parseSettingValue` made for this row, whether it may be changed later or not. */
export function writeSetting(settings: Settings, row: NamedSettingRow, value: SettingValue): void {
  (settings as unknown as Record<string, SettingValue>)[fieldNameOf(row)] = value;
}

/** Puts every setting that has a default back to it, as the header `[pgbouncer]` of a file does. */
export function resetSettings(settings: Settings): void {
  for (const row of SETTINGS_TABLE) {
    if (row.default !== null) writeSetting(settings, row, defaultSettingValue(row));
  }
}

/** Makes `into` equal to `from`, in place. Returns the names of the settings that changed. */
export function copySettings(into: Settings, from: Settings): SettingName[] {
  const changed = changedSettings(into, from);
  for (const name of changed) copySetting(into, from, name);
  return changed;
}

/** Takes over one setting. */
export function copySetting(into: Settings, from: Settings, name: SettingName): void {
  const row = settingRow(name);
  if (row !== undefined) writeSetting(into, row, read(from, row));
}

/** The names of the settings in which the two differ, in SHOW CONFIG's order. */
export function changedSettings(a: Settings, b: Settings): SettingName[] {
  return SETTINGS_TABLE.filter((row) => !sameSettingValue(read(a, row), read(b, row))).map((row) => row.name);
}

/** Whether a reload or SET may change it. */
export function isReloadable(row: SettingRow): boolean {
  return row.reloadable !== false;
}

// The table knows a field's name and type as data; the compiler has compared both with the class above.
function read(settings: Settings, row: SettingRow): SettingValue {
  return (settings as unknown as Record<string, SettingValue>)[fieldNameOf(row)] as SettingValue;
}
