/** The law of the pipeline over random scripts, for the right one and for those broken on purpose. */
import * as fc from "fast-check";
import { compareWithModel, type PipelineClass } from "./model-run.ts";
import { randomRuns } from "./random-scripts.ts";

/** Throws with the shortest script that is found on which pipeline and model differ. `syncInCopy`: see `scriptOf`. */
export function agreesWithModel(made: PipelineClass, syncInCopy: boolean, numRuns: number): void {
  fc.assert(
    fc.property(randomRuns(syncInCopy), ({ script, schedule }) => compareWithModel(made, script, schedule)),
    { numRuns },
  );
}

/** Whether they differ on one of `numRuns` scripts of either kind. Looks for no short one. */
export function differsFromModel(made: PipelineClass, numRuns: number): boolean {
  const batch = 250;
  for (let run = 0; run < numRuns; run += batch) {
    const property = fc.property(randomRuns((run / batch) % 2 === 0), ({ script, schedule }) =>
      compareWithModel(made, script, schedule),
    );
    if (fc.check(property, { numRuns: batch, endOnFailure: true }).failed) return true;
  }
  return false;
}
