/** Where the servers of a database are: the members of its `host` list as addresses to connect to. */
import type { DatabaseEntry } from "./database-entry.ts";

export type ServerAddress =
  | { readonly kind: "unix"; readonly path: string }
  | { readonly kind: "tcp"; readonly host: string; readonly port: number };

/**
 * The addresses of an entry, in the order of its `host` list; a list of one without `host`: PostgreSQL's socket in
 * `unixSocketDir`. Empty when there is neither. A path that starts with `@` is in the abstract name space.
 */
export function serverAddresses(
  entry: Pick<DatabaseEntry, "hosts" | "port">,
  unixSocketDir: string,
): readonly ServerAddress[] {
  const hosts = entry.hosts.length > 0 ? entry.hosts : unixSocketDir === "" ? [] : [unixSocketDir];
  return hosts.map((host) => serverAddress(host, entry.port));
}

/** One host as an address: a directory if it starts with `/` or `@`, else a name or an IPv4 or IPv6 literal. */
export function serverAddress(host: string, port: number): ServerAddress {
  if (!host.startsWith("/") && !host.startsWith("@")) return { kind: "tcp", host, port };
  return { kind: "unix", path: socketPath(host, port) };
}

/** The name of PostgreSQL's and of our own Unix socket in a directory. */
export function socketPath(directory: string, port: number): string {
  return `${directory}/.s.PGSQL.${port}`;
}
