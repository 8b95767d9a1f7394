/**
 * The program itself, in its own process, on either runtime, in front of a real PostgreSQL: several connections send
 * recorded conversations with accidents in them, cut anywhere, and leave anyhow, while normal clients work beside them and
 * check every answer. Afterwards the process is still the same, serves newcomers, has given back what the attackers had, and
 * has written no line that tells of a defect.
 */
import { readdirSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import * as fc from "fast-check";
import { EmbeddedPostgres } from "../../src/demo/embedded-postgres.ts";
import { Random } from "../sim/random.ts";
import { Bouncer } from "../support/bouncer.ts";
import { waitFor } from "../support/wait-for.ts";
import { columns, int32, message, query, startupMessage, terminate, WireClient } from "../support/wire-client.ts";
import { readTrace } from "../unit/pipeline/trace-file.ts";
import { bytesOf, type FuzzTarget } from "./fuzz-target.ts";
import { inputsOf } from "./mutations.ts";

export interface WholeProgramOptions {
  readonly runtime: "node" | "bun";
  readonly seed: number;
  readonly durationMs: number;
}

export interface WholeProgramReport {
  /** Connections that sent something broken, and answers that normal clients got and found right. */
  readonly attacks: number;
  readonly answers: number;
}

const ATTACKERS = 4;
const WORKERS = 3;
/** An attacker that is not sent away goes by itself after a while. */
const STAY_MS_MAX = 150;

/** Rejects with the first thing that went wrong. */
export async function fuzzWholeProgram({
  runtime,
  seed,
  durationMs,
}: WholeProgramOptions): Promise<WholeProgramReport> {
  const cluster = await EmbeddedPostgres.start({ roles: [{ name: "worker" }, { name: "stranger" }] });
  // Attackers are no superusers, and what they run ends.
  await cluster.query("alter role stranger set statement_timeout = '2s'");
  let bouncer: Bouncer | null = null;
  try {
    const at = `host=${cluster.host} port=${cluster.port} dbname=postgres`;
    bouncer = await Bouncer.start({
      runtime,
      databases: { work: `${at} user=worker pool_size=2`, attacked: `${at} user=stranger pool_size=3` },
      userlist: { worker: "", stranger: "", guarded: "SCRAM-is-asked" },
      settings: {
        pool_mode: "transaction",
        server_tls_sslmode: "disable",
        max_client_conn: 500,
        idle_transaction_timeout: 1,
        client_login_timeout: 5,
        query_wait_timeout: 20,
        max_prepared_statements: 20,
        verbose: 1,
      },
    });
    return await attackWhileOthersWork(bouncer, seed, durationMs);
  } finally {
    await bouncer?.stop();
    await cluster.stop();
  }
}

async function attackWhileOthersWork(bouncer: Bouncer, seed: number, durationMs: number): Promise<WholeProgramReport> {
  const endsAtMs = performance.now() + durationMs;
  const isOver = (): boolean => performance.now() > endsAtMs;
  const before = bouncer.pid;
  const pooler = { ended: false };
  void bouncer.exited.then(() => (pooler.ended = true));
  const inputs = fc.sample(inputsOf(attackTarget()), { seed, numRuns: Math.ceil(durationMs / 20) });
  let attacks = 0;
  let answers = 0;
  const attackers = Array.from({ length: ATTACKERS }, async (_, index) => {
    const random = new Random(seed + index);
    while (!isOver() && !pooler.ended) {
      await attack(bouncer, inputs[attacks++ % inputs.length] as Uint8Array, random);
    }
  });
  const workers = Array.from({ length: WORKERS }, async (_, index) => {
    answers += await work(bouncer, `worker ${index}`, () => isOver() || pooler.ended);
  });
  await Promise.all([...attackers, ...workers]);
  if (pooler.ended) throw new Error(`the pooler ended:\n${bouncer.log().slice(-4000)}`);
  if (bouncer.pid !== before) throw new Error("the pooler is another process");
  // All attackers are gone, and nothing of theirs is left.
  await waitFor("the attackers to be forgotten", async () => {
    const clients = await bouncer.admin("SHOW CLIENTS");
    return clients.every(({ database }) => database === "pgbouncer");
  });
  await waitFor("their servers to be free", async () => {
    const pools = await bouncer.admin("SHOW POOLS");
    const others = pools.filter(({ database }) => database !== "pgbouncer");
    return others.every((pool) => pool["sv_active"] === 0 && pool["cl_waiting"] === 0 && pool["cl_active"] === 0);
  });
  answers += await work(bouncer, "newcomer", () => true);
  return { attacks, answers };
}

/** Asks and checks until `isOver`, at least once; a transaction of three statements now and then. */
async function work(bouncer: Bouncer, name: string, isOver: () => boolean): Promise<number> {
  const client = await WireClient.login(bouncer, { user: "worker", database: "work", application_name: name });
  let asked = 0;
  do {
    const expected = `${name} asks ${asked}`;
    const inTransaction = asked % 7 === 3;
    const texts = inTransaction ? ["begin", `select '${expected}'`, "commit"] : [`select '${expected}'`];
    client.send(...texts.map(query));
    const rows: (string | null)[] = [];
    for (let left = texts.length; left > 0; left--) {
      for (const { type, body } of await client.until("Z")) {
        if (type === "D") rows.push(...columns(body));
        if (type === "E") throw new Error(`${name} got an error: ${body.toString("utf8")}`);
      }
    }
    if (rows.length !== 1 || rows[0] !== expected)
      throw new Error(`${name} expected ${expected} and got ${rows.join()}`);
    asked++;
    if (asked % 20 === 0) {
      client.send(query("show application_name"));
      const answer = (await client.until("Z")).find(({ type }) => type === "D");
      const shown = answer === undefined ? null : columns(answer.body)[0];
      if (shown !== name) throw new Error(`${name} is called ${shown}`);
    }
  } while (!isOver());
  client.end();
  return asked;
}

/** One connection that sends `bytes` in pieces and reads what comes, or does not. */
function attack(bouncer: Bouncer, bytes: Uint8Array, random: Random): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect({ host: bouncer.host, port: bouncer.port });
    const reads = random.chance(0.8);
    const resets = random.chance(0.3);
    socket.on("error", () => undefined);
    socket.on("close", () => resolve());
    if (reads) socket.resume();
    const cuts = random.chance(0.5) ? 1 : random.between(2, 5);
    const size = Math.ceil(bytes.length / cuts) || 1;
    for (let from = 0; from < bytes.length; from += size) socket.write(bytes.subarray(from, from + size));
    if (random.chance(0.3)) socket.end();
    setTimeout(
      () => {
        if (resets) socket.resetAndDestroy();
        else socket.destroy();
      },
      random.between(1, STAY_MS_MAX),
    );
  });
}

/** Whole conversations of a client, from its first byte on. */
function attackTarget(): FuzzTarget {
  const folder = fileURLToPath(new URL("../unit/pipeline/traces", import.meta.url));
  const hello = startupMessage({ user: "stranger", database: "attacked", application_name: "attacker" });
  const traces = readdirSync(folder).map((name) => {
    const lines = readTrace(readFileSync(join(folder, name), "utf8"));
    return new Uint8Array(Buffer.concat([hello, ...lines.filter(({ sent }) => sent).map(({ bytes }) => bytes)]));
  });
  const others = [
    Buffer.concat([int32(8), int32(80877103), hello]),
    Buffer.concat([int32(16), int32(80877102), int32(5_000_000), int32(1)]),
    Buffer.concat([startupMessage({ user: "guarded", database: "attacked" }), message("p", "guess")]),
    startupMessage({ user: "stranger", database: "attacked", replication: "database" }),
    startupMessage({ user: "stranger", database: "pgbouncer" }),
  ];
  return {
    name: "whole-program",
    seeds: [...traces, ...others],
    words: [
      hello,
      query("begin"),
      query("select pg_sleep(0.05)"),
      query("select repeat('x', 1000000)"),
      terminate(),
      bytesOf("\0\0\0\x04"),
    ],
    runs: 0,
    run: () => undefined,
  };
}
