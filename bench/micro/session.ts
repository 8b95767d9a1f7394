/**
 * What a transaction costs between the sockets: client, pool, pipeline and server, everything but the transport.
 *
 *     node bench/micro/session.ts        bun bench/micro/session.ts
 *
 * All clients ask in the same turn and get their answers, again and again, in a world of memory (`../memory`).
 */
import { Exchange, MemoryPooler } from "../memory/memory-pooler.ts";
import { printNanoseconds, runtimeLabel } from "./measure.ts";

console.log(runtimeLabel());
for (const [clients, poolSize] of [
  [1, 1],
  [64, 4],
  [64, 64],
  [500, 20],
] as const) {
  for (const exchange of Object.values(Exchange)) {
    const pooler = await MemoryPooler.start(clients, poolSize);
    printNanoseconds(`a transaction, ${exchange}, ${clients} clients on ${poolSize}`, () => pooler.round(exchange));
    pooler.stop();
  }
}
