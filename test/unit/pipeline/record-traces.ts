/**
 * Says the scripts to a real PostgreSQL and writes what it answers to `traces/`. By hand, when scripts are added:
 *
 *     node test/unit/pipeline/record-traces.ts
 */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { EmbeddedPostgres } from "../../../src/demo/embedded-postgres.ts";
import { query, sync, WireClient, type WireMessage } from "../../support/wire-client.ts";
import { fileNameOf, printTrace, type TraceLine } from "./trace-file.ts";
import { PREPARATION, TRACE_SCRIPTS, type TraceScript } from "./trace-scripts.ts";

const folder = join(import.meta.dirname, "traces");

async function record(address: { host: string; port: number }, script: TraceScript): Promise<TraceLine[]> {
  const client = await WireClient.login(address, { user: "postgres", database: "postgres" });
  const lines: TraceLine[] = [];
  const receive = (message: WireMessage | null): string => {
    if (message === null) throw new Error(`${script.name}: the connection ended`);
    const bytes = Buffer.alloc(message.body.length + 5);
    bytes.write(message.type, 0, "latin1");
    bytes.writeInt32BE(message.body.length + 4, 1);
    bytes.set(message.body, 5);
    lines.push({ sent: false, type: message.type, bytes });
    return message.type;
  };
  const blind: Uint8Array[] = [];
  for (const { bytes, after } of script.messages) {
    if (after !== undefined) {
      client.send(...blind.splice(0));
      while (receive(await client.next()) !== after);
    }
    blind.push(bytes);
    lines.push({ sent: true, type: String.fromCharCode(bytes[0] as number), bytes });
  }
  // A query whose tag nobody else has tells where the answers end. Were it skipped, the Sync in front would be missing.
  const end = "drop table if exists no_such_table_at_the_end";
  client.send(...blind, sync());
  client.send(query(end));
  for (;;) {
    const message = await client.next();
    if (message !== null && message.type === "C" && message.body.toString("latin1").startsWith("DROP TABLE")) break;
    receive(message);
  }
  client.end();
  return withoutEnd(lines);
}

/** Takes away the notice of the last query, and the ReadyForQuery of the Sync in front of it. */
function withoutEnd(lines: TraceLine[]): TraceLine[] {
  const kept = lines.slice(0, -1);
  if (lines.at(-1)?.type !== "N" || kept.at(-1)?.type !== "Z") throw new Error("an end that is no end");
  return kept.slice(0, -1);
}

const cluster = await EmbeddedPostgres.start();
try {
  await cluster.query(PREPARATION);
  mkdirSync(folder, { recursive: true });
  for (const name of readdirSync(folder)) rmSync(join(folder, name));
  for (const script of TRACE_SCRIPTS) {
    const lines = await record(cluster, script);
    writeFileSync(join(folder, fileNameOf(script.name)), printTrace(lines));
    console.log(`${script.name}: ${lines.map(({ sent, type }) => (sent ? type : `[${type}]`)).join(" ")}`);
  }
} finally {
  await cluster.stop();
}
