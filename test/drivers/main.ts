/**
 * `npm run test:drivers [-- name…]`: real drivers and programs through a pool of four servers in transaction mode, each with
 * login, queries, transactions, COPY, prepared statements, pipelines, cancel and errors, on both runtimes.
 *
 * As root on Debian it installs what it needs; elsewhere it says what is missing, and that is a failure: silence would look
 * like success. Not part of `npm test`, which needs nothing but the clone.
 */
import { strictEqual } from "node:assert/strict";
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { EmbeddedPostgres } from "../../src/demo/embedded-postgres.ts";
import { endWithLauncher } from "../../src/demo/lifeline.ts";
import { Bouncer } from "../support/bouncer.ts";
import { createCertificate } from "../transport/certificate.ts";
import { useNodePostgres } from "./node-postgres.ts";
import { usePostgresJs } from "./postgres-js.ts";
import { installMissing, isThere, python, type Requirement, requirements } from "./programs.ts";
import { runProgram, usePgbench, usePsql } from "./psql.ts";

interface Driver {
  readonly name: string;
  readonly needs?: Requirement;
  readonly use: (uri: string, cluster: EmbeddedPostgres) => Promise<void>;
}

const folder = dirname(fileURLToPath(import.meta.url));

const script =
  (file: string) =>
  async (uri: string): Promise<void> => {
    const ended = await runProgram(python, [join(folder, file), uri]);
    strictEqual(ended.status, 0, ended.stderr);
  };

const drivers: readonly Driver[] = [
  { name: "psql", needs: requirements.psql, use: (uri) => usePsql(uri) },
  {
    name: "psql-protocol-3.2",
    needs: requirements.psql,
    use: async (uri, cluster) => {
      const libraries = join(cluster.binaries.folder, "lib");
      if (!existsSync(libraries)) throw new Error(`no libpq in ${libraries}`);
      await usePsql(uri, libraries, "max_protocol_version=3.2");
    },
  },
  {
    name: "psql-direct-tls",
    needs: requirements.psql,
    use: (uri, cluster) =>
      usePsql(
        uri,
        join(cluster.binaries.folder, "lib"),
        "sslmode=require&sslnegotiation=direct&max_protocol_version=latest",
      ),
  },
  { name: "pgbench", needs: requirements.pgbench, use: (uri) => usePgbench(uri) },
  { name: "psycopg3", needs: requirements.psycopg3, use: script("psycopg3.py") },
  {
    name: "psycopg3-console",
    needs: requirements.psycopg3,
    use: (uri) => script("psycopg3-console.py")(uri.replace(/\/\w+$/, "/pgbouncer")),
  },
  { name: "psycopg2", needs: requirements.psycopg2, use: script("psycopg2.py") },
  { name: "asyncpg", needs: requirements.asyncpg, use: script("asyncpg-driver.py") },
  { name: "node-postgres", use: useNodePostgres },
  { name: "postgres.js", use: usePostgresJs },
];

endWithLauncher();
const names = process.argv.slice(2);
const unknown = names.filter((name) => !drivers.some((driver) => driver.name === name));
if (unknown.length > 0) {
  console.error(`no such driver: ${unknown.join(", ")} (there are ${drivers.map(({ name }) => name).join(", ")})`);
  process.exit(2);
}
installMissing();

const rows: { driver: string; runtime: string; result: string; seconds: string }[] = [];
const files = mkdtempSync(join(tmpdir(), "pgc-drivers-"));
chmodSync(files, 0o755);
const { certPem, keyPem } = createCertificate({ commonName: "localhost", altNames: ["127.0.0.1"] });
for (const [name, content] of [
  ["server.pem", certPem],
  ["server.key", keyPem],
] as const) {
  writeFileSync(join(files, name), content, { mode: 0o644 });
}
const cluster = await EmbeddedPostgres.start({ roles: [{ name: "driver", attributes: "SUPERUSER" }] });
try {
  for (const runtime of ["node", "bun"] as const) {
    const bouncer = await Bouncer.start({
      runtime,
      databases: { drivers: `host=${cluster.host} port=${cluster.port} dbname=postgres pool_size=4` },
      userlist: { driver: "secret" },
      settings: {
        auth_type: "scram-sha-256",
        pool_mode: "transaction",
        stats_users: "driver",
        server_tls_sslmode: "disable",
        client_tls_sslmode: "allow",
        client_tls_cert_file: join(files, "server.pem"),
        client_tls_key_file: join(files, "server.key"),
        ignore_startup_parameters: "extra_float_digits",
      },
    });
    try {
      for (const driver of drivers) {
        if (names.length === 0 || names.includes(driver.name)) await run(driver, runtime, bouncer);
      }
    } finally {
      await bouncer.stop();
    }
  }
} finally {
  await cluster.stop();
  rmSync(files, { recursive: true, force: true });
}
console.table(rows);
const failed = rows.filter(({ result }) => result !== "ok").length;
console.log(`${rows.length - failed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);

async function run(driver: Driver, runtime: string, bouncer: Bouncer): Promise<void> {
  const startedMs = performance.now();
  let result = "ok";
  if (driver.needs !== undefined && !isThere(driver.needs)) {
    result = `missing: package ${driver.needs.packageName}`;
  } else {
    try {
      await driver.use(bouncer.url("drivers", "driver", "secret"), cluster);
    } catch (error) {
      result = "FAILED";
      console.error(`\n=== ${driver.name} on ${runtime}\n${error instanceof Error ? error.stack : String(error)}`);
    }
  }
  rows.push({ driver: driver.name, runtime, result, seconds: ((performance.now() - startedMs) / 1000).toFixed(1) });
}
