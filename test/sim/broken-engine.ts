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

/** A fault of the real engine. */
export interface Fault {
  readonly fault: string;
  readonly seedsMax: number;
  readonly breakIt: () => () => void;
}

/* oxlint-disable typescript/no-explicit-any -- methods of many classes: what they take is their own business */
/** Puts `call` in the place of a method; returns what puts the method back. */
export function replace(
  owner: object,
  name: string,
  call: (self: any, original: (...args: any[]) => any, args: any[]) => unknown,
): () => void {
  const before = Object.getOwnPropertyDescriptor(owner, name);
  if (before === undefined || typeof before.value !== "function")
    throw new Error(`there is no method ${name} to break`);
  const original = before.value as (...args: unknown[]) => unknown;
  Object.defineProperty(owner, name, {
    ...before,
    value(this: unknown, ...args: unknown[]) {
      return call(this, (...given) => original.apply(this, given), args);
    },
  });
  return () => Object.defineProperty(owner, name, before);
}

/* oxlint-enable typescript/no-explicit-any */

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
