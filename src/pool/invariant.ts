/**
 * Broken invariants: the fourth kind of error. Such an error is a fault of this program, never of a peer or a configuration; it is not
 * caught inside `pool/`, and whoever catches it closes what it concerns, counts it and logs it.
 */

/** A rule of the program did not hold. The message is the rule's sentence, with the names of what broke it. */
export class InvariantError extends Error {
  override readonly name = "InvariantError";
  readonly code = "INVARIANT";
}

/**
 * Throws `InvariantError` with `sentence` unless `condition` holds.
 * On a road that is travelled often pass a constant sentence, or test first: a template is built even when the condition holds.
 */
export function invariant(condition: unknown, sentence: string): asserts condition {
  if (!condition) throw new InvariantError(sentence);
}
