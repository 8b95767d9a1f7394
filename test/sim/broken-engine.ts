/**
 * An engine with a fault put in on purpose, and the search for the seed that shows it.
 */
import type { EngineKind } from "./engine-under-test.ts";
import { run } from "./run.ts";

export interface BrokenEngine {
  readonly fault: string;
  /** Within so many seeds it has to be noticed. */
  readonly seedsMax: number;
  readonly kind: EngineKind;
  /** The engine without the fault: what breaks laws with it too does not count. */
  readonly intact: EngineKind;
  /** Puts the fault in; what it returns takes it out again. */
  readonly breakIt: () => () => void;
}

/** The first law broken because of the fault, with its seed; null when the fault went unnoticed. */
export async function firstViolation({ kind, intact, seedsMax, breakIt }: BrokenEngine): Promise<string | null> {
  for (let seed = 1; seed <= seedsMax; seed++) {
    const mend = breakIt();
    let violations: readonly string[];
    try {
      // eslint-disable-next-line no-await-in-loop -- one after the other is the point: the first that breaks a law
      violations = (await run(seed, { kind })).violations;
    } catch (error) {
      violations = [String(error)];
    } finally {
      mend();
    }
    if (violations.length === 0) continue;
    // eslint-disable-next-line no-await-in-loop
    if ((await run(seed, { kind: intact })).violations.length === 0) return `seed ${seed}: ${violations[0]}`;
  }
  return null;
}
