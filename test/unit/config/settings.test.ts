/** The settings table and the values in it: order, defaults, parsing and printing, SET. */
import { inspect } from "node:util";
import * as fc from "fast-check";
import { describe, expect, expectTypeOf, test } from "vitest";
import { fieldNameOf } from "../../../src/config/setting-row.ts";
import {
  defaultSettingValue,
  formatG,
  parseInteger,
  parseSettingValue,
  printSettingValue,
} from "../../../src/config/setting-value.ts";
import type { NamedSettingRow, SettingFields, SettingName } from "../../../src/config/settings-table.ts";
import { SETTINGS_TABLE, settingRow } from "../../../src/config/settings-table.ts";
import {
  changedSettings,
  copySettings,
  resetSettings,
  setSetting,
  Settings,
  showSetting,
  showSettings,
} from "../../../src/config/settings.ts";

/** Characters that mean something in the files, and some that surprise. */
const unit = fc.constantFrom(...Array.from("aZ09xe_.+*-='\"[];#% \t\r\v\n\0äß漢🐘\u2028\u00a0\\"));

/** SHOW CONFIG of PgBouncer 1.25.2 on Linux, with the two rows of its development branch: name, default, changeable. */
const SHOW_CONFIG = `
admin_users||yes application_name_add_host|0|yes auth_dbname|NULL|yes auth_file|NULL|yes auth_hba_file||yes
auth_ident_file|NULL|yes auth_ldap_options|NULL|yes auth_query|…|yes auth_type|md5|yes auth_user|NULL|yes
autodb_idle_timeout|3600|yes cancel_wait_timeout|10|yes client_idle_timeout|0|yes client_login_timeout|60|yes
client_tls13_ciphers|NULL|yes client_tls_ca_file||yes client_tls_cert_file||yes client_tls_ciphers|default|yes
client_tls_dheparams|auto|yes client_tls_ecdhcurve|auto|yes client_tls_key_file||yes client_tls_protocols|secure|yes
client_tls_sslmode|disable|yes conffile|NULL|yes default_pool_size|20|yes disable_pqexec|0|no dns_max_ttl|15|yes
dns_nxdomain_ttl|15|yes dns_zone_check_period|0|yes idle_transaction_timeout|0|yes ignore_startup_parameters||yes
job_name|pgbouncer|no listen_addr||no listen_backlog|128|no listen_port|6432|no log_connections|1|yes
log_disconnections|1|yes log_pooler_errors|1|yes log_stats|1|yes logfile||yes login_notify_message||yes
max_client_conn|100|yes max_db_client_connections|0|yes max_db_connections|0|yes max_packet_size|2147483647|yes
max_prepared_statements|200|yes max_user_client_connections|0|yes max_user_connections|0|yes min_pool_size|0|yes
peer_id|0|yes pidfile||no pkt_buf|4096|no pool_mode|session|yes pool_idle_timeout|0|yes query_timeout|0|yes
query_wait_notify|5|yes query_wait_timeout|120|yes reserve_pool_size|0|yes reserve_pool_timeout|5|yes resolv_conf||no
sbuf_loopcnt|5|yes scram_iterations|4096|yes server_check_delay|30|yes server_check_query|<empty>|yes
server_connect_timeout|15|yes server_fast_close|0|yes server_idle_timeout|600|yes server_lifetime|3600|yes
server_login_retry|15|yes server_reset_query|DISCARD_ALL|yes server_reset_query_always|0|yes server_round_robin|0|yes
server_tls13_ciphers|NULL|yes server_tls_ca_file||yes server_tls_cert_file||yes server_tls_ciphers|default|yes
server_tls_key_file||yes server_tls_protocols|secure|yes server_tls_sslmode|prefer|yes so_reuseport|0|no
stats_period|60|yes stats_users||yes suspend_timeout|10|yes syslog|0|yes syslog_facility|daemon|yes
syslog_ident|pgbouncer|yes tcp_defer_accept|1|yes tcp_keepalive|1|yes tcp_keepcnt|0|yes tcp_keepidle|0|yes
tcp_keepintvl|0|yes tcp_socket_buffer|0|yes tcp_user_timeout|0|yes track_extra_parameters|IntervalStyle|no
transaction_timeout|0|yes unix_socket_dir|/tmp|no unix_socket_group||no unix_socket_mode|0777|no user|NULL|no
verbose|NULL|yes anonymous_statements|0|yes deferred_begin|0|yes disconnected_query_timeout|60|yes sharing|1|yes sharing_depth|16|yes sharing_low_mark|4|yes
sharing_short_bytes|16384|yes sharing_short_runs|3|yes sharing_short_time|50|yes`;

const rows = fc.constantFrom(...SETTINGS_TABLE);

function rowOf(name: SettingName): NamedSettingRow {
  const row = settingRow(name);
  if (row === undefined) throw new Error(`no row ${name}`);
  return row;
}

describe("the table", () => {
  test("has PgBouncer's rows in SHOW CONFIG's order, with its defaults", () => {
    const shown = showSettings(new Settings()).map((row) => {
      const value = row.key === "auth_query" ? "…" : (row.default ?? "NULL").replaceAll(" ", "_");
      return `${row.key}|${value}|${row.changeable}`;
    });
    expect(shown).toEqual(SHOW_CONFIG.trim().split(/\s+/));
    expect(shown).toHaveLength(109);
  });

  test("and the class Settings has exactly its fields", () => {
    expect(Object.keys(new Settings())).toEqual(SETTINGS_TABLE.map(fieldNameOf));
    expectTypeOf<{ [F in keyof Settings]: Settings[F] }>().toEqualTypeOf<{
      [F in keyof SettingFields]: SettingFields[F];
    }>();
  });

  test("every default parses, and prints as itself", () => {
    const settings = new Settings();
    for (const row of SETTINGS_TABLE) {
      const printed = showSetting(settings, row.name);
      // PgBouncer prints this one in decimal, and verbose is 0 where it is not set.
      const expected = row.name === "unix_socket_mode" ? "511" : row.name === "verbose" ? "0" : row.default;
      expect([row.name, printed]).toEqual([row.name, expected]);
    }
  });

  test("overrides name settings of the section", () => {
    expect(SETTINGS_TABLE.filter((row) => row.user !== undefined).map((row) => row.name)).toHaveLength(11);
    expect(SETTINGS_TABLE.filter((row) => row.database !== undefined).map((row) => row.name)).toHaveLength(12);
  });
});

describe("fields", () => {
  test("times are milliseconds, booleans are booleans, lists know their names", () => {
    const settings = new Settings();
    expect(settings.serverLifetimeMs).toBe(3_600_000);
    expect(settings.queryWaitNotifyMs).toBe(5000);
    expect(settings.tcpUserTimeoutMs).toBe(0);
    expect(settings.logConnections).toBe(true);
    expect(settings.unixSocketMode).toBe(0o777);
    expect(settings.trackExtraParameters.names).toEqual(["IntervalStyle"]);
    expect(settings.authFile).toBeNull();
    expect(settings.verbose).toBe(0);
  });

  test("setting one to what it is reports no change", () => {
    const settings = new Settings();
    expect(setSetting(settings, "default_pool_size", "0x14")).toEqual({
      ok: true,
      name: "default_pool_size",
      changed: false,
    });
    expect(setSetting(settings, "default_pool_size", "21")).toMatchObject({ changed: true });
    expect(settings.defaultPoolSize).toBe(21);
  });
});

describe("values", () => {
  const cases: readonly (readonly [name: SettingName, text: string, printed: string | null])[] = [
    ["listen_port", "0x1920", "6432"],
    ["listen_port", "014440", "6432"],
    ["listen_port", "+6432", "6432"],
    ["listen_port", "6432x", null],
    ["listen_port", "", null],
    ["listen_port", "on", null],
    ["listen_port", "70000", null],
    ["listen_port", "08", null],
    ["listen_port", "0x", null],
    ["listen_backlog", "-1", "-1"],
    ["default_pool_size", "-1", null],
    ["default_pool_size", "2147483648", null],
    ["max_packet_size", "4294967295", "4294967295"],
    ["max_packet_size", "4294967296", null],
    ["log_stats", "on", null],
    ["log_stats", "0", "0"],
    ["log_stats", "2", "1"],
    ["query_timeout", "0.5", "0.5"],
    ["query_timeout", ".25", "0.25"],
    ["query_timeout", "1234567", "1.23457e+06"],
    ["query_timeout", "0.00001", "1e-05"],
    ["query_timeout", "0.0000001", "0"],
    ["query_timeout", "-1", null],
    ["query_timeout", "nan", null],
    ["query_timeout", "inf", null],
    ["query_timeout", "1e999", null],
    ["query_timeout", "5s", null],
    ["query_wait_notify", "7", "7"],
    ["query_wait_notify", "0.5", null],
    ["pool_mode", "TRANSACTION", "transaction"],
    ["pool_mode", "auto", null],
    ["auth_type", "scram-sha-256", "scram-sha-256"],
    ["auth_type", "peer", null],
    ["client_tls_sslmode", "Verify-Full", "verify-full"],
    ["admin_users", "a , b,,c", "a , b,,c"],
    ["auth_dbname", "pgbouncer", null],
    ["auth_dbname", "auth", "auth"],
    ["server_check_query", "", ""],
  ];

  test.each(cases)("%s = %j prints as %j", (name, text, printed) => {
    const row = rowOf(name);
    const parsed = parseSettingValue(row, text);
    expect(parsed.ok ? printSettingValue(row, parsed.value) : null).toBe(printed);
  });

  test("the reserved database is refused in PgBouncer's words", () => {
    expect(setSetting(new Settings(), "auth_dbname", "pgbouncer")).toEqual({
      ok: false,
      reason: 'cannot use the reserved "pgbouncer" database as an auth_dbname',
    });
  });

  test("names in a list are trimmed, empty ones dropped", () => {
    const settings = new Settings();
    setSetting(settings, "admin_users", " a , b,,c ");
    expect(settings.adminUsers.names).toEqual(["a", "b", "c"]);
    expect(settings.adminUsers.has("b")).toBe(true);
    expect(settings.adminUsers.has("B")).toBe(false);
  });

  test("any text is read or refused, never thrown at, and what was read prints to itself", () => {
    const words = fc.oneof(
      fc.string({ unit }),
      fc.stringMatching(/^[ +-]?[0-9.xXeE]{0,12}$/),
      fc.double().map(String),
      fc.integer().map(String),
      fc.constantFrom("session", "MD5", "require", "1e3", "00", "0x0"),
    );
    fc.assert(
      fc.property(rows, words, (row, text) => {
        const parsed = parseSettingValue(row, text);
        if (!parsed.ok || row.type === "secret") return;
        const printed = printSettingValue(row, parsed.value);
        expect(printed).not.toBeNull();
        const again = parseSettingValue(row, printed ?? "");
        expect(again.ok && printSettingValue(row, again.value)).toBe(printed);
      }),
      { numRuns: 500 },
    );
  });

  test("whole numbers are read in three bases", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2147483647 }), fc.boolean(), (number, negative) => {
        const sign = negative ? "-" : "";
        const expected = negative && number !== 0 ? -number : number;
        for (const text of [
          `${number}`,
          `0x${number.toString(16)}`,
          `0${number.toString(8)}`,
          `0X${number.toString(16)}`,
        ]) {
          expect(parseInteger(sign + text, -2147483648, 2147483647)).toBe(expected);
        }
      }),
    );
  });

  test("%g as C prints it", () => {
    const known: readonly (readonly [number, string])[] = [
      [0, "0"],
      [1, "1"],
      [0.1, "0.1"],
      [3600, "3600"],
      [99999.95, "99999.9"],
      [999999.5, "1e+06"],
      [123456, "123456"],
      [123456.7, "123457"],
      [0.0001, "0.0001"],
      [0.00001234, "1.234e-05"],
      [1e100, "1e+100"],
      [0.333333333, "0.333333"],
    ];
    for (const [number, text] of known) expect(formatG(number)).toBe(text);
  });

  test("seconds keep microseconds", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2_000_000_000 }), (microseconds) => {
        const parsed = parseSettingValue(rowOf("query_timeout"), (microseconds / 1e6).toFixed(6));
        expect(parsed).toEqual({ ok: true, value: microseconds / 1000 });
      }),
    );
  });
});

describe("SET", () => {
  test("does not touch what is fixed at start, and answers success", () => {
    const settings = new Settings();
    expect(setSetting(settings, "listen_port", "1")).toEqual({ ok: true, name: "listen_port", changed: false });
    expect(settings.listenPort).toBe(6432);
  });

  test("refuses unknown names and bad values", () => {
    const settings = new Settings();
    expect(setSetting(settings, "nonsense", "1")).toEqual({
      ok: false,
      reason: "unknown parameter: pgbouncer/nonsense",
    });
    expect(setSetting(settings, "DEFAULT_POOL_SIZE", "1").ok).toBe(false);
    expect(setSetting(settings, "__proto__", "1").ok).toBe(false);
    expect(setSetting(settings, "default_pool_size", "many")).toEqual({
      ok: false,
      reason: 'invalid value "many" for parameter default_pool_size',
    });
    expect(changedSettings(settings, new Settings())).toEqual([]);
  });
});

describe("the object", () => {
  test("is reset to its defaults, but for what has none", () => {
    const settings = new Settings();
    setSetting(settings, "default_pool_size", "7");
    setSetting(settings, "auth_user", "asker");
    resetSettings(settings);
    expect(settings.defaultPoolSize).toBe(20);
    expect(settings.authUser).toBe("asker");
  });

  test("takes over another one in place", () => {
    const running = new Settings();
    const other = new Settings();
    setSetting(other, "pool_mode", "statement");
    setSetting(other, "stats_users", "a,b");
    expect(copySettings(running, other)).toEqual(["pool_mode", "stats_users"]);
    expect(running.poolMode).toBe("statement");
    expect(copySettings(running, other)).toEqual([]);
  });

  test("a LDAP password is shown nowhere", () => {
    for (const options of [
      "ldapserver=x ldapbindpasswd=hun7er ldapport=1",
      'ldapserver=x,"ldapbindpasswd"="hun7 ""er",ldapport=1',
      // Written wrongly: where the password ends is anybody's guess.
      "ldapserver=x ldapbindpasswd=two hun7 words ldapport=1",
      'ldapserver=x "ldapbindpasswd=two hun7er" ldapport=1',
      'ldapserver=x ldapbindpasswd=a"b, hun7er" ldapport=1',
      'ldapserver=x ldapbindpasswd = "a"hun7er ldapport=1',
    ]) {
      const settings = new Settings();
      setSetting(settings, "auth_ldap_options", options);
      expect(settings.authLdapOptions?.reveal()).toBe(options);
      const everything = inspect(settings) + JSON.stringify(settings) + JSON.stringify(showSettings(settings));
      expect(everything).not.toMatch(/hun7/);
      expect(showSetting(settings, "auth_ldap_options")).toMatch(/ldapserver=x.*\*\*\*\*.*ldapport=1/);
    }
  });

  test("defaults are values of their own in each object", () => {
    expect(defaultSettingValue(rowOf("admin_users"))).toEqual(new Settings().adminUsers);
  });
});
