/**
 * What a client sends, together with what becomes of it in PostgreSQL: the alphabet of the model, the random scripts and
 * the recorded traces. Nothing here knows the pipeline.
 */

/** One statement of a Query, or what an Execute runs. `rows`: DataRows, or lines of a COPY TO. */
export interface ModelStatement {
  readonly rows: number;
  /**
   * `C` completes, `I` is empty, `s` is suspended at its row limit (Execute only), `E` fails, `in` is COPY FROM STDIN, `inE`
   * one that fails before it reads a message, `out` is COPY TO STDOUT, `outE` one that
   * fails behind its rows.
   */
  readonly end: "C" | "I" | "s" | "E" | "in" | "inE" | "out" | "outE";
  readonly tag?: string;
}

export type ModelMessage =
  | { readonly kind: "parse" | "bind" | "close" | "sync" | "functionCall"; readonly fails?: boolean }
  /** Types of the answers. */
  | { readonly kind: "describe"; readonly answer: "T" | "n" | "tT" | "tn" | "E" }
  | { readonly kind: "execute"; readonly statement: ModelStatement }
  /** No statement at all is an empty Query. */
  | { readonly kind: "query"; readonly statements: readonly ModelStatement[] }
  /** `bad` data ends the COPY. */
  | { readonly kind: "copyData"; readonly bad?: boolean }
  /** A COPY may fail only when it is complete. */
  | { readonly kind: "copyDone"; readonly fails?: boolean }
  | { readonly kind: "copyFail" | "flush" };

export type ModelKind = ModelMessage["kind"];
