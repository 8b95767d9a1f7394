/** What `--version` prints, and the facts of the line `process up`. Scripts find PgBouncer's lines at their places. */
import { versionLine } from "../admin/version.ts";

/** The lines of `--version`: ours and PgBouncer's, event library, resolver, TLS library, service manager. */
export function versionLines(systemd: boolean): readonly string[] {
  const { node, uv } = process.versions;
  const { bun } = process.versions as { readonly bun?: string };
  const runtime = bun === undefined ? `node ${node}, libuv ${uv}` : `bun ${bun}`;
  return [
    versionLine(),
    `libevent none (${runtime})`,
    `adns: ${resolverName()}`,
    `tls: ${tlsName()}`,
    ...(systemd ? ["systemd: yes"] : []),
  ];
}

/** Behind `process up: `. */
export function processUpLine(): string {
  const { bun } = process.versions as { readonly bun?: string };
  const runtime = bun === undefined ? `node ${process.versions.node}` : `bun ${bun}`;
  return `${versionLine()}, ${runtime}, adns: ${resolverName()}, tls: ${tlsName()}`;
}

function resolverName(): string {
  const { ares } = process.versions as { readonly ares?: string };
  // Bun names a commit.
  return ares !== undefined && /^\d+\./.test(ares) ? `c-ares ${ares}` : "c-ares";
}

function tlsName(): string {
  const { openssl, boringssl, bun } = process.versions as Readonly<Record<string, string | undefined>>;
  return bun === undefined ? `OpenSSL ${openssl ?? "unknown"}` : `BoringSSL ${boringssl ?? "unknown"}`;
}
