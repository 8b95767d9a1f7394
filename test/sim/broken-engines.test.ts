/**
 * The simulator's own proof: engines with a fault put in on purpose must be caught, each within a bounded number of seeds.
 */
import { describe, expect, test } from "vitest";
import { firstViolation } from "./broken-engine.ts";
import type { BrokenEngine } from "./broken-engine.ts";
import { brokenPoolers } from "./broken-poolers.ts";
import { brokenRelays } from "./broken-relays.ts";

describe("a broken relay is caught", () => {
  test.each(named(brokenRelays))("%s", { timeout: 180_000 }, expectCaught);
});

describe("a broken pooler is caught", () => {
  test.each(named(brokenPoolers))("%s", { timeout: 180_000 }, expectCaught);
});

function named(engines: readonly BrokenEngine[]): (readonly [string, BrokenEngine])[] {
  return engines.map((engine) => [engine.fault, engine]);
}

async function expectCaught(_fault: string, engine: BrokenEngine): Promise<void> {
  expect(await firstViolation(engine), `${engine.seedsMax} seeds broke no law`).not.toBeNull();
}
