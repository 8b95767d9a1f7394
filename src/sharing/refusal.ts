/**
 * Why a statement may not share a server: the words that operators see. Knows no rules.
 */

export const Refusal = {
  /** No statement in the text. */
  empty: "empty",
  /** Longer than what is looked at. */
  tooLong: "too long",
  /** Not the same tokens to every PostgreSQL, setting and encoding, or no tokens at all. */
  unreadable: "unreadable",
  severalStatements: "several statements",
  /** Not SELECT, VALUES, TABLE or WITH. */
  notASelect: "not a select",
  into: "into",
  locking: "locking",
  /** INSERT, UPDATE, DELETE or MERGE anywhere in it. */
  writes: "writes",
  /** A function of PostgreSQL that is volatile or tells of the server's session. */
  volatileFunction: "volatile function",
  /** The name is a user's function too, which may be called instead of PostgreSQL's. */
  userFunction: "user function",
  unknownFunction: "unknown function",
  /** A name behind which the catalogue hides something unsafe. */
  watchedName: "watched name",
  /** An operator behind which the catalogue hides something unsafe. */
  operator: "operator",
  /** Nothing of this database may share. */
  catalogue: "catalogue",
  /** The catalogue has not been read: who has no facts says this. */
  factsMissing: "facts missing",
} as const;
export type Refusal = (typeof Refusal)[keyof typeof Refusal];
