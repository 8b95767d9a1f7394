/**
 * The simulated transport at the shared table: what is proved on it must hold on the real ones.
 */
import { describe } from "vitest";
import type { Transport } from "../../src/net/transport.ts";
import type { Subject } from "../transport/subject.ts";
import { describeTransport } from "../transport/table.ts";
import { Random } from "./random.ts";
import type { NetworkTemper } from "./sim-network.ts";
import { SimWorld } from "./sim-world.ts";

const LIMIT_MS = 600_000;
const QUIET_MS = 500;

/** The table writes small pieces and expects the kernel to take them: windows are roomy and writes are taken whole. */
const tempers: readonly (NetworkTemper & { readonly name: string })[] = [
  { name: "smooth", latencyMaxMs: 0, cutChance: 0, partialWriteChance: 0, windowsBytes: [262_144] },
  { name: "cut and delayed", latencyMaxMs: 3, cutChance: 0.5, partialWriteChance: 0, windowsBytes: [65_536, 262_144] },
];

for (const temper of tempers) {
  for (const seed of [1, 2]) {
    describe(`simulated transport, ${temper.name}, seed ${seed}`, () => {
      describeTransport(createSubject(temper, seed), { tls: false, system: false });
    });
  }
}

function createSubject(temper: NetworkTemper, seed: number): Subject {
  let world = createWorld(temper, seed);
  return {
    anywhere: { host: "127.0.0.1", port: 0 },
    createTransport() {
      world = createWorld(temper, seed);
      return driven(world);
    },
    async until(condition, what) {
      if (!(await world.runUntil(condition, LIMIT_MS, null))) throw new Error(`waited in vain for ${what}`);
    },
    async quiet() {
      await world.runUntil(() => false, QUIET_MS, null);
    },
  };
}

function createWorld(network: NetworkTemper, seed: number): SimWorld {
  return new SimWorld(new Random(seed), { network, turnMaxMs: 0.1, tracing: false });
}

/** Listening is answered in virtual time, which only goes on while somebody turns the world. */
function driven(world: SimWorld): Transport {
  const transport = world.network.transport("engine");
  return {
    connect: (to, events) => transport.connect(to, events),
    async listen(at, options, accept) {
      let settled = false;
      const listening = transport.listen(at, options, accept).finally(() => {
        settled = true;
      });
      listening.catch(() => {});
      await world.runUntil(() => settled, LIMIT_MS, null);
      return listening;
    },
  };
}
