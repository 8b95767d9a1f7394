/**
 * What the soak runs on: a real PostgreSQL with its tables, and the pooler in front of it as a process of its own.
 *
 * The pool is much smaller than the crowd, so that clients wait, and failed logins are tried again soon, so that a restart
 * of PostgreSQL costs seconds.
 */
import { EmbeddedPostgres } from "../../src/demo/embedded-postgres.ts";
import { Bouncer } from "../support/bouncer.ts";
import { versionSource } from "./operations/changing-objects.ts";
import { items } from "./operations/reads.ts";
import { hotCounters } from "./operations/writes.ts";
import type { SoakOptions } from "./soak-options.ts";

export const soakDatabase = "soak";
export const soakUser = "soak";
/** Sizes of the pool, between which reloads change. */
export const poolSizes = [8, 12] as const;
/** Objects of `Versions`. */
export const versionedObjects = 4;

export interface SoakStage {
  readonly cluster: EmbeddedPostgres;
  readonly bouncer: Bouncer;
  /** The settings the pooler was started with, for reloads. */
  readonly settings: Readonly<Record<string, string | number>>;
}

/** SQL that gives versioned object number `object` this version. */
export function versionSql(object: number, version: number): string {
  return object % 2 === 0
    ? `create or replace view ${versionSource(object)} as select ${version} as version`
    : `create or replace function ${versionSource(object)} returns int stable language sql as 'select ${version}'`;
}

/** SQL that makes `touch` a read, or a write into the journal. */
export function touchSql(writes: boolean): string {
  const [kind, body] = writes
    ? ["volatile language plpgsql", "begin insert into journal values (c, e, 1, 'touch'); return 'wrote'; end"]
    : ["stable language sql", "select 'read'"];
  return `create or replace function touch(c int, e int) returns text ${kind} as $body$ ${body} $body$`;
}

/** Starts both. Who calls stops both. */
export async function startStage(options: SoakOptions): Promise<SoakStage> {
  const cluster = await EmbeddedPostgres.start({
    roles: [{ name: soakUser }],
    databases: [soakDatabase],
    // A fast restart must not lose what was acknowledged: a commit waits for its write, if not for the disk.
    settings: { synchronous_commit: "on", log_connections: "off", log_disconnections: "off", max_wal_size: "1GB" },
  });
  try {
    await cluster.query(schemaText(options.clients), [], soakDatabase);
    const settings = {
      pool_mode: "transaction",
      default_pool_size: poolSizes[1],
      max_client_conn: options.clients * 2 + 100,
      server_login_retry: 1,
      server_lifetime: 60,
      server_check_delay: 5,
      // On a slow machine clients wait for long, and a notice of ours would be one too many for those that count theirs.
      query_wait_notify: 0,
      ...options.settings,
    };
    const bouncer = await Bouncer.start({
      runtime: options.runtime,
      databases: { [soakDatabase]: `host=${cluster.host} port=${cluster.port}` },
      userlist: { [soakUser]: "" },
      settings,
    });
    return { cluster, bouncer, settings };
  } catch (error) {
    await cluster.stop();
    throw error;
  }
}

function schemaText(clients: number): string {
  const versions = Array.from({ length: versionedObjects }, (_, object) => versionSql(object, 0));
  return [
    `alter schema public owner to ${soakUser}`,
    `set role ${soakUser}`,
    `create table item as select id, 'item ' || id as name from generate_series(1, ${items}) id`,
    "alter table item add primary key (id)",
    `create table counter as select client, 0 as n from generate_series(0, ${clients}) client`,
    "alter table counter add primary key (client)",
    `create table hot as select id, 0 as n from generate_series(0, ${hotCounters - 1}) id`,
    "create table journal (client int not null, entry int not null, part int not null, via text not null)",
    "create index on journal (client, entry)",
    "create sequence numbers",
    "create view drawn as select nextval('numbers') as number",
    touchSql(false),
    ...versions,
  ].join(";\n");
}
