/**
 * What is wrong with a configuration, and where. Problems are collected, so that all of them are reported at once; one
 * of them is enough to refuse the configuration. Messages never hold a password.
 */
export interface ConfigProblem {
  /** The file, as it was named on the command line or in %include. */
  readonly file: string;
  /** From 1; 0 when the whole file is meant. */
  readonly line: number;
  /** For the log, one line, with file and line in it. */
  readonly message: string;
}

/** A place in a file. */
export interface ConfigPlace {
  readonly file: string;
  /** From 1. */
  readonly line: number;
}

/** A problem at a place; `file:line` is put behind the message, in parentheses. */
export function problemAt(place: ConfigPlace, message: string): ConfigProblem {
  return { file: place.file, line: place.line, message: `${message} (${place.file}:${place.line})` };
}

/** A value that is refused, in PgBouncer's words, with the reason behind it. `value` must not hold a password. */
export function invalidValue(place: ConfigPlace, key: string, value: string, reason: string | null): ConfigProblem {
  const { file, line } = place;
  const why = reason === null ? "" : `: ${reason}`;
  return {
    file,
    line,
    message: `invalid value "${value}" for parameter ${key} in configuration (${file}:${line})${why}`,
  };
}
