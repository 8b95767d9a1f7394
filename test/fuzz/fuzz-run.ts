/** Runs a target: what is known first, then random inputs; a failure comes back as small as it could be made. */
import * as fc from "fast-check";
import { corpusOf } from "./corpus.ts";
import { engineTargets } from "./engine-targets.ts";
import type { FuzzTarget } from "./fuzz-target.ts";
import { inputsOf } from "./mutations.ts";
import { parserTargets } from "./parser-targets.ts";

export interface Failure {
  readonly input: Uint8Array;
  readonly error: unknown;
}

export function allTargets(): FuzzTarget[] {
  return [...parserTargets(), ...engineTargets()];
}

export async function runKnown(target: FuzzTarget): Promise<Failure | null> {
  const known = [...corpusOf(target.name).map(({ bytes }) => bytes), ...target.seeds];
  for (const input of known) {
    try {
      await target.run(input);
    } catch (error) {
      return { input, error };
    }
  }
  return null;
}

/** `watch` is told of each input before it runs. */
export async function runRandom(
  target: FuzzTarget,
  options: { readonly runs: number; readonly seed: number },
  watch: (input: Uint8Array) => void = () => {},
): Promise<Failure | null> {
  const property = fc.asyncProperty(inputsOf(target), async (input) => {
    watch(input);
    await target.run(input);
  });
  const { failed, counterexample, errorInstance } = await fc.check(property, {
    numRuns: options.runs,
    seed: options.seed,
  });
  if (!failed || counterexample === null) return null;
  return { input: counterexample[0], error: errorInstance };
}
