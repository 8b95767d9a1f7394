/** Random runs of a `PoolWorld`, for the laws and for the broken pools that the laws must catch. */
import * as fc from "fast-check";
import type { PoolPolicy } from "../../../src/pool/pool.ts";
import { PoolWorld } from "./pool-world.ts";
import type { WorldPlan } from "./pool-world.ts";

export interface Run {
  readonly plan: WorldPlan;
  readonly steps: readonly (readonly [number, number, number])[];
  readonly drained: boolean;
}

const policy: fc.Arbitrary<Partial<PoolPolicy>> = fc.record({
  sizeMax: fc.nat(4),
  sizeMin: fc.nat(2),
  reserveMax: fc.nat(2),
  reserveTimeoutMs: fc.constantFrom(0, 300, 1000),
  checkDelayMs: fc.constantFrom(0, 500, 2000),
  checks: fc.boolean(),
  idleTimeoutMs: fc.constantFrom(0, 1500, 5000),
  lifetimeMs: fc.constantFrom(0, 2000, 20_000),
  loginRetryMs: fc.constantFrom(0, 700),
  roundRobin: fc.boolean(),
  loginsAtOnceMax: fc.integer({ min: 1, max: 3 }),
  keepFilled: fc.boolean(),
});

export const runs: fc.Arbitrary<Run> = fc.record({
  plan: fc.record({
    limits: fc.array(fc.nat(4), { minLength: 4, maxLength: 4 }),
    policies: fc.array(policy, { minLength: 1, maxLength: 4 }),
    reactions: fc.array(fc.integer({ min: -10, max: 20 }), { maxLength: 40 }),
  }),
  steps: fc.array(fc.tuple(fc.nat(24), fc.nat(3), fc.nat(59)), { maxLength: 120, size: "max" }),
  drained: fc.boolean(),
});

export function lawsHold({ plan, steps, drained }: Run): PoolWorld {
  const world = new PoolWorld(plan);
  for (const [kind, which, n] of steps) world.step(kind, which, n);
  if (drained) world.drain();
  world.end();
  return world;
}
