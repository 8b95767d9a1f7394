/** All that clients of the soak do, by family. */
import type { Operation } from "./operation.ts";
import { bigAnswers } from "./operations/big-answers.ts";
import { cancels } from "./operations/cancels.ts";
import { changingObjects } from "./operations/changing-objects.ts";
import { copies } from "./operations/copies.ts";
import { longReads } from "./operations/long-reads.ts";
import { reads } from "./operations/reads.ts";
import { sessionStateOperations } from "./operations/session-state.ts";
import { writes } from "./operations/writes.ts";

export const operationFamilies: Readonly<Record<string, readonly Operation[]>> = {
  reads,
  state: sessionStateOperations,
  changing: changingObjects,
  writes,
  long: longReads,
  big: bigAnswers,
  copy: copies,
  cancel: cancels,
};
