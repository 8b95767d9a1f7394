/**
 * What must hold when everybody has left: nothing is leaked in the pooler, its figures agree with each other and with
 * PostgreSQL's, the books of all clients agree with the tables, and the log tells of no defect.
 */
import { readdirSync, readlinkSync } from "node:fs";
import type { ConsoleRow } from "../support/bouncer.ts";
import { waitFor } from "../support/wait-for.ts";
import type { Ledger } from "./ledger.ts";
import type { SoakRun } from "./soak-run.ts";
import { soakDatabase } from "./soak-stage.ts";

const quietDeadlineMs = 20_000;
const suspiciousLine =
  /invariant|unknown pkt|bad packet|defect|assert|\b(?:Type|Reference|Range)Error\b| \[\d+\] FATAL /i;
/** Columns of SHOW POOLS that must be 0. */
const busyColumns = [
  "cl_active",
  "cl_waiting",
  "cl_active_cancel_req",
  "cl_waiting_cancel_req",
  "sv_active",
  "sv_active_cancel",
  "sv_being_canceled",
  "sv_tested",
  "sv_login",
];
const messagesShown = 12;
/** Of so many clients the entries are read together. */
const clientsAtOnce = 50;

/** How many sockets the process has open. */
export function socketsOf(pid: number): number {
  const folder = `/proc/${pid}/fd`;
  return readdirSync(folder).filter((name) => {
    try {
      return readlinkSync(`${folder}/${name}`).startsWith("socket:");
    } catch {
      return false; // closed since it was listed
    }
  }).length;
}

/** Reports to `run` whatever does not hold. `socketsAtFirst`: of the pooler, before anybody came. */
export async function audit(run: SoakRun, ledgers: readonly Ledger[], socketsAtFirst: number): Promise<void> {
  const checks: readonly (readonly [name: string, check: () => Promise<void> | void])[] = [
    ["the pooler at rest", () => poolerAtRest(run, socketsAtFirst)],
    ["PostgreSQL at rest", () => postgresAtRest(run)],
    ["the books", () => compareBooks(run, ledgers)],
    ["no servers, no sockets", () => withoutServers(run, socketsAtFirst)],
    ["the log", () => readLog(run)],
    ["what is shared", () => tellSharing(run)],
  ];
  for (const [name, check] of checks) {
    try {
      await check();
    } catch (error) {
      const { message, cause } = error as Error;
      run.fail(`${name}: ${message}${cause instanceof Error ? ` (${cause.message})` : ""}`);
    }
  }
}

async function poolerAtRest(run: SoakRun, socketsAtFirst: number): Promise<void> {
  const { bouncer, cluster } = run.stage;
  await waitFor(
    "a quiet pooler",
    async () => {
      const clients = (await bouncer.admin("SHOW CLIENTS")).filter(({ database }) => database !== "pgbouncer");
      refuse("SHOW CLIENTS", clients.length, clients);
      const pool = (await bouncer.admin("SHOW POOLS")).find(({ database }) => database === soakDatabase);
      refuse("SHOW POOLS", busyColumns.filter((column) => pool?.[column] !== 0).length, pool);
      const servers = await bouncer.admin("SHOW SERVERS");
      const idle = Number(pool?.["sv_idle"]) + Number(pool?.["sv_used"]);
      refuse("idle servers of SHOW POOLS and SHOW SERVERS", idle - servers.length, pool);
      const lists = itemsOf(await bouncer.admin("SHOW LISTS"));
      // The console that asks is a client too.
      refuse("SHOW LISTS, clients", (lists.get("used_clients") ?? -1) - 1, [...lists]);
      refuse("SHOW LISTS, logins", lists.get("login_clients") ?? -1, [...lists]);
      const database = (await bouncer.admin("SHOW DATABASES")).find(({ name }) => name === soakDatabase);
      refuse("connections of SHOW DATABASES", Number(database?.["current_connections"]) - servers.length, database);
      refuse("clients of SHOW DATABASES", Number(database?.["current_client_connections"]), database);
      const { rows } = await cluster.query(
        "select pid from pg_stat_activity where backend_type = 'client backend' and client_addr is not null order by pid",
      );
      const backends = (rows as { pid: number }[]).map(({ pid }) => pid);
      const remote = servers.map((server) => Number(server["remote_pid"])).sort((one, other) => one - other);
      refuse("SHOW SERVERS and pg_stat_activity", Number(remote.join() !== backends.join()), { remote, backends });
      const sockets = socketsOf(bouncer.pid);
      refuse("sockets", sockets - socketsAtFirst - servers.length, {
        sockets,
        socketsAtFirst,
        servers: servers.length,
      });
      return true;
    },
    quietDeadlineMs,
  );
}

async function withoutServers(run: SoakRun, socketsAtFirst: number): Promise<void> {
  const { bouncer } = run.stage;
  await bouncer.admin("RECONNECT");
  await waitFor("all servers closed", async () => {
    const servers = await bouncer.admin("SHOW SERVERS");
    refuse("SHOW SERVERS behind RECONNECT", servers.length, servers);
    refuse("sockets behind RECONNECT", socketsOf(bouncer.pid) - socketsAtFirst, { socketsAtFirst });
    return true;
  });
}

async function postgresAtRest(run: SoakRun): Promise<void> {
  const { cluster } = run.stage;
  const { rows } = await cluster.query(
    `select (select count(*)::int from pg_prepared_xacts) as prepared,
            (select count(*)::int from pg_locks where pid <> pg_backend_pid()) as locks,
            (select count(*)::int from pg_stat_activity where state like 'idle in transaction%') as transactions`,
    [],
    soakDatabase,
  );
  const [left] = rows as { prepared: number; locks: number; transactions: number }[];
  refuse("left in PostgreSQL", left!.prepared + left!.locks + left!.transactions, left);
}

async function compareBooks(run: SoakRun, ledgers: readonly Ledger[]): Promise<void> {
  const { cluster } = run.stage;
  for (let from = 0; from < ledgers.length; from += clientsAtOnce) {
    const some = ledgers.slice(from, from + clientsAtOnce);
    const { rows } = await cluster.query(
      `select client, entry, count(*)::int as parts, count(distinct part)::int as different
       from journal where client = any($1::int[]) group by client, entry`,
      [some.map(({ client }) => client)],
      soakDatabase,
    );
    const found = new Map(some.map(({ client }) => [client, new Map<number, number>()]));
    for (const row of rows as { client: number; entry: number; parts: number; different: number }[]) {
      refuse(`doubled rows of client ${row.client}`, row.parts - row.different, row);
      found.get(row.client)?.set(row.entry, row.parts);
    }
    for (const ledger of some) ledger.check(found.get(ledger.client) ?? new Map());
  }
  const counters = await cluster.query(
    `select client, n, (select count(*)::int from journal where journal.client = counter.client and via = 'tx') as written
     from counter`,
    [],
    soakDatabase,
  );
  for (const row of counters.rows as { client: number; n: number; written: number }[]) {
    refuse(`counter of client ${row.client} and its journal`, row.n - row.written, row);
  }
  const { rows } = await cluster.query(
    `select (select sum(n)::int from hot) as hot, (select count(*)::int from journal where via = 'hot') as written,
            (select case when is_called then last_value else 0 end::int from numbers) as drawn`,
    [],
    soakDatabase,
  );
  const [shared] = rows as { hot: number; written: number; drawn: number }[];
  refuse("counters that all change and their journal", shared!.hot - shared!.written, shared);
  run.draws.check(shared!.drawn);
}

/** What the pooler says of the servers that were shared, where it has such a page: whether the soak has tried it at all. */
async function tellSharing(run: SoakRun): Promise<void> {
  const rows = await run.stage.bouncer.admin("SHOW SHARING").catch(() => []);
  for (const row of rows) run.print(`sharing: ${JSON.stringify(row)}`);
}

/** Lines that must not be there fail the run; the other warnings and errors are counted. */
function readLog(run: SoakRun): void {
  const counts = new Map<string, number>();
  const suspicious: string[] = [];
  for (const line of run.stage.bouncer.log().split("\n")) {
    const message = / (?:WARNING|ERROR|FATAL|CRITICAL) (.*)/.exec(line)?.[1];
    if (message !== undefined) {
      const kind = message.replace(/^\S+: \S+@\S+ /, "").replaceAll(/\d+/g, "#");
      counts.set(kind, (counts.get(kind) ?? 0) + 1);
    }
    if (suspiciousLine.test(line)) suspicious.push(line);
  }
  const most = [...counts].sort(([, one], [, other]) => other - one).slice(0, messagesShown);
  for (const [kind, count] of most) run.print(`log: ${count} × ${kind}`);
  refuse("suspicious lines", suspicious.length, suspicious.slice(0, 5));
}

function itemsOf(rows: readonly ConsoleRow[]): Map<unknown, number> {
  return new Map(rows.map(({ list, items }) => [list, Number(items)]));
}

/** Throws when a figure that must be 0 is not. */
function refuse(what: string, figure: number, seen: unknown): void {
  if (figure !== 0) throw new Error(`${what}: ${figure} too many, ${JSON.stringify(seen)}`);
}
