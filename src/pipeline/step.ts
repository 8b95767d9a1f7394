/**
 * What a step of a pipeline expects from the server, and what is done with the answer.
 *
 * A step is one message sent to the server (or one that would have been sent), or a whole unit. Steps up to and including a
 * *terminator* form an entry; the terminator is what PostgreSQL answers with ReadyForQuery.
 *
 *     Parse     → 1                    Query        → … Z   (terminator)
 *     Bind      → 2                    FunctionCall → V Z   (terminator)
 *     Describe  → n | T | t n | t T    Sync         → Z     (terminator)
 *     Execute   → … C | I | s          CopyEnd      → nothing of its own: ends what CopyInResponse began
 *     Close     → 3                    Unit         → … Z   (terminator): from Parse or Bind to Sync, one Execute of all rows,
 *                                                     sent at once. Only its end counts, so it is one step.
 *
 * Source: PostgreSQL documentation, "Message Flow".
 */

export const Step = {
  parse: 1,
  bind: 2,
  describe: 3,
  execute: 4,
  close: 5,
  sync: 6,
  query: 7,
  functionCall: 8,
  copyEnd: 9,
  unit: 10,
} as const;

/** The low bits of a step are its kind. */
export const KIND_MASK = 0x0f;

/** The answer is not for the owner. */
export const SWALLOW = 0x10;
/** Nothing was sent; the owner gets the answer when everything before it has been answered. */
export const PUT_IN = 0x20;

/** A Parse of the unnamed statement, or a unit with one that has not been answered. */
export const UNNAMED = 0x40;

/** In a pipeline that is written down: the step's answer is for nobody; the others' are for the client. */
export const NOBODY = 0x80;

export function isTerminator(step: number): boolean {
  const kind = step & KIND_MASK;
  return kind === Step.sync || kind === Step.query || kind === Step.functionCall || kind === Step.unit;
}
