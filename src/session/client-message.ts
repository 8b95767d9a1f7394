/** What a client's message is for the pipeline: which step it makes, and whether it is one at all. */
import { Step } from "../pipeline/step.ts";
import { HEADER_BYTES } from "../protocol/framer.ts";
import { Frontend, TargetKind } from "../protocol/message-type.ts";

/** The pipeline's step for a message type, 0 for those that are not answered. */
export function stepOf(type: number): number {
  switch (type) {
    case Frontend.Query:
      return Step.query;
    case Frontend.Parse:
      return Step.parse;
    case Frontend.Bind:
      return Step.bind;
    case Frontend.Describe:
      return Step.describe;
    case Frontend.Execute:
      return Step.execute;
    case Frontend.Close:
      return Step.close;
    case Frontend.Sync:
      return Step.sync;
    case Frontend.FunctionCall:
      return Step.functionCall;
    case Frontend.CopyDone:
    case Frontend.CopyFail:
      return Step.copyEnd;
    default:
      return 0;
  }
}

/** A client may send this after its login. */
export function isKnown(type: number): boolean {
  return stepOf(type) !== 0 || type === Frontend.Flush || type === Frontend.CopyData || type === Frontend.Terminate;
}

/**
 * Whether the message at `at`, of which `available` bytes are there, names a prepared statement, as far as they show: the
 * unnamed one and portals are nobody's business, and most messages name nothing else.
 */
export function mayNameStatement(type: number, memory: Uint8Array, at: number, available: number): boolean {
  switch (type) {
    case Frontend.Parse:
      return available <= HEADER_BYTES || memory[at + HEADER_BYTES] !== 0;
    case Frontend.Bind:
      // Portal and statement are both unnamed, or one of them is not.
      return available <= HEADER_BYTES + 1 || memory[at + HEADER_BYTES] !== 0 || memory[at + HEADER_BYTES + 1] !== 0;
    case Frontend.Describe:
    case Frontend.Close:
      return available <= HEADER_BYTES || memory[at + HEADER_BYTES] !== TargetKind.Portal;
    default:
      return false;
  }
}

/** Means nothing without a server: late messages of a COPY that has failed, or a Flush of nothing. PostgreSQL ignores them too. */
export function isIdle(type: number): boolean {
  return (
    type === Frontend.CopyData || type === Frontend.CopyDone || type === Frontend.CopyFail || type === Frontend.Flush
  );
}
