/** The engine in memory: every client gets its answers, and one transaction is one read and one write on each side. */
import { describe, expect, test } from "vitest";
import { Exchange, MemoryPooler } from "../../../bench/memory/memory-pooler.ts";

describe.each(Object.values(Exchange))("%s", (exchange) => {
  test.each([
    [1, 1],
    [16, 4],
    [4, 16],
  ])("%i clients on %i servers", async (clients, poolSize) => {
    const pooler = await MemoryPooler.start(clients, poolSize);
    // The first prepares; the second may be the one behind which the catalogue is read.
    pooler.round(exchange);
    pooler.round(exchange);
    pooler.round(exchange);
    const before = { ...pooler.world.counts };
    expect(pooler.round(exchange)).toBe(clients);
    const { counts } = pooler.world;
    expect(counts.clientReads - before.clientReads).toBe(clients);
    expect(counts.clientWrites - before.clientWrites).toBe(clients);
    expect(counts.serverWrites - before.serverWrites).toBeLessThanOrEqual(clients);
    pooler.stop();
  });
});

test("the same is the same every time", async () => {
  const run = async (): Promise<object> => {
    const pooler = await MemoryPooler.start(16, 4);
    for (let round = 0; round < 10; round++) pooler.round(Exchange.extended);
    const { counts } = pooler.world;
    pooler.stop();
    return counts;
  };
  expect(await run()).toEqual(await run());
});
