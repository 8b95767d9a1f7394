/**
 * How an embedded cluster is configured: what a caller may choose, and the texts that come out of it: postgresql.conf,
 * pg_hba.conf, the SQL for roles. Durability is off: these clusters are thrown away.
 */
import type { PostgresBinaries } from "./postgres-binaries.ts";

export interface EmbeddedPostgresOptions {
  /** Lines of postgresql.conf, on top of the fast defaults; values as they are written there, without quotes. */
  readonly settings?: Readonly<Record<string, string | number>>;
  /** pg_hba.conf. The superuser's entry by Unix socket is put in front. Default: trust for all. */
  readonly hba?: string;
  /** Files in PEM format; given, `ssl` is on. */
  readonly tls?: { readonly certPath: string; readonly keyPath: string; readonly caPath?: string };
  /** Roles with LOGIN; `encryption` says how PostgreSQL stores the password, none leaves the role without one. */
  readonly roles?: readonly EmbeddedRole[];
  readonly databases?: readonly string[];
  /** Where the cluster's folder is made. Default: the machine's temporary folder. */
  readonly parentFolder?: string;
  /** Default: the packaged ones. */
  readonly binaries?: PostgresBinaries;
  /** Keep the template for the next start, in node_modules/.cache. Default true. */
  readonly keepTemplate?: boolean;
}

export interface EmbeddedRole {
  readonly name: string;
  readonly password?: string;
  readonly encryption?: "md5" | "scram-sha-256";
  /** More words of CREATE ROLE, such as SUPERUSER. */
  readonly attributes?: string;
}

const fastSettings = {
  fsync: "off",
  synchronous_commit: "off",
  full_page_writes: "off",
  autovacuum: "off",
  shared_buffers: "32MB",
  max_connections: 200,
  wal_level: "logical",
  max_wal_senders: 5,
  min_wal_size: "8MB",
  timezone: "UTC",
  log_timezone: "UTC",
  log_connections: "on",
  log_disconnections: "on",
  log_line_prefix: "%m [%p] %q%u@%d %a ",
  listen_addresses: "127.0.0.1",
};

/** pg_hba.conf that lets everybody in. */
export const trustForAll = [
  "local all all trust",
  "host all all 127.0.0.1/32 trust",
  "local replication all trust",
  "host replication all 127.0.0.1/32 trust",
].join("\n");

/** Text of postgresql.conf. Later entries win, and the caller's are the last. */
export function settingsText(
  options: EmbeddedPostgresOptions,
  major: number,
  port: number,
  socketFolder: string,
): string {
  const settings: Record<string, string | number> = { ...fastSettings, port, unix_socket_directories: socketFolder };
  // Worker processes for reading ahead are no use in a cluster that fits in memory.
  if (major >= 18) settings["io_method"] = "sync";
  if (options.tls !== undefined) {
    settings["ssl"] = "on";
    settings["ssl_cert_file"] = "server.crt";
    settings["ssl_key_file"] = "server.key";
    if (options.tls.caPath !== undefined) settings["ssl_ca_file"] = "root.crt";
  }
  Object.assign(settings, options.settings);
  const lines = Object.entries(settings).map(([key, value]) => `${key} = '${String(value).replaceAll("'", "''")}'`);
  return `${lines.join("\n")}\n`;
}

/** SQL that makes the roles, "" for none. */
export function rolesText(roles: readonly EmbeddedRole[]): string {
  return roles
    .map(({ name, password, encryption, attributes }) => {
      const secret = password === undefined ? "" : ` password ${quoteLiteral(password)}`;
      return (
        `set password_encryption = '${encryption ?? "scram-sha-256"}'; ` +
        `create role ${quoteName(name)} login ${attributes ?? ""}${secret}`
      );
    })
    .join("; ");
}

export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

function quoteLiteral(text: string): string {
  return ` E'${text.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`;
}
