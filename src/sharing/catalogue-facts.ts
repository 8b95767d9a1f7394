/**
 * What must be known of a database's catalogue before a statement of it may share a server: which names hide something.
 *
 * A text that looks like a plain read may reach a function that takes a lock or writes: through a view, a policy, an
 * operator, a cast. No text shows that, so the catalogue is asked (`catalogue-query.ts`) and its answer is these names. A
 * verdict (`statement-verdict.ts`) is about a text and one such object; when the catalogue changes there is a new object.
 */

/** Immutable. Names are without schema and as the catalogue stores them: folded to lower case unless they were quoted. */
export interface CatalogueFacts {
  /** All functions that are not PostgreSQL's own, aggregates and window functions too; they may shadow built-in ones. */
  readonly userFunctions: ReadonlySet<string>;
  /** Functions, relations and types by which a text could reach something that is not a re-runnable read. */
  readonly unsafeNames: ReadonlySet<string>;
  /** Operators whose function is not a re-runnable read. */
  readonly unsafeOperators: ReadonlySet<string>;
  /** Why nothing in this database may share, in words for operators; null if nothing stands against it. */
  readonly refusesAll: string | null;
}
