/**
 * SHOW MEM: how many objects of each kind there are, and what buffers and the heap hold.
 *
 * PgBouncer prints its slab allocators. A JavaScript runtime does not tell the size of an object, so `size` is 0 for
 * objects; `iobuf_cache` counts what is held in buffers of pkt_buf bytes, and the last rows are the runtime's own figures
 * in units of KiB.
 */
import { ConsoleLevel } from "../pooler/console-level.ts";
import type { Pooler } from "../pooler/pooler.ts";
import type { ConsoleCommand } from "./console-command.ts";
import { poolsInOrder } from "./residents-in-order.ts";
import { int4Column, textColumn } from "./result-table.ts";

const KIB = 1024;
const INT4_MAX = 0x7fffffff;

export const showMemCommand: ConsoleCommand = {
  name: "SHOW MEM",
  argument: "",
  level: ConsoleLevel.stats,
  columns: [textColumn("name"), int4Column("size"), int4Column("used"), int4Column("free"), int4Column("memtotal")],
  doc:
    "How many objects of each kind there are (`used`). For `iobuf_cache`, `size` × `used` are the bytes received and not " +
    "yet passed on; `heap`, `external` and `rss` are the process's memory in KiB.",
  run: (call) => {
    const { pooler } = call;
    const { residents, engine } = pooler;
    const counts: readonly (readonly [name: string, used: number])[] = [
      ["user_cache", residents.users.size],
      ["credentials_cache", residents.users.size],
      ["db_cache", residents.databases.size],
      ["peer_cache", residents.peers.size],
      ["peer_pool_cache", residents.peers.pools.length],
      ["pool_cache", poolsInOrder(pooler).length],
      ["outstanding_request_cache", 0],
      ["server_cache", residents.servers.size],
      ["client_cache", residents.clients.size],
    ];
    for (const [name, used] of counts) call.row([name, 0, used, 0, 0]);
    const { pktBuf } = engine.settings;
    const buffers = Math.ceil(heldBytes(pooler) / pktBuf);
    call.row(["iobuf_cache", pktBuf, buffers, 0, Math.min(buffers * pktBuf, INT4_MAX)]);
    call.row(["var_list_cache", 0, 0, 0, 0]);
    call.row(["server_prepared_statement_cache", 0, statementCount(pooler), 0, 0]);
    const memory = process.memoryUsage();
    const kib = (bytes: number): number => Math.min(Math.round(bytes / KIB), INT4_MAX);
    const heapUsed = kib(memory.heapUsed);
    call.row(["heap", KIB, heapUsed, Math.max(0, kib(memory.heapTotal) - heapUsed), kib(memory.heapTotal)]);
    call.row(["external", KIB, kib(memory.external), 0, kib(memory.external)]);
    call.row(["rss", KIB, kib(memory.rss), 0, kib(memory.rss)]);
    call.done("SHOW");
  },
};

/** Received and not advanced over, or not yet taken by a kernel: what back-pressure bounds. */
function heldBytes(pooler: Pooler): number {
  let bytes = 0;
  for (const { framer, outbox } of pooler.residents.clients) bytes += framer.pending + outbox.backlog;
  for (const { framer, outbox } of pooler.residents.servers) bytes += framer.pending + outbox.backlog;
  return bytes;
}

function statementCount(pooler: Pooler): number {
  let count = 0;
  for (const server of pooler.residents.servers) count += server.statements.size;
  return count;
}
