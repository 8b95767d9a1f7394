/**
 * What both real transports say about the end of a connection: errors as `onClose` promises them, and a callback that
 * throws where no connection is left to pay for it.
 */

export type ConnectionError = Error & { code?: string };

/** Whatever a callback threw or a runtime reported, as an error. */
export function asError(thrown: unknown): ConnectionError {
  return thrown instanceof Error ? thrown : new Error(String(thrown), { cause: thrown });
}

/** An operating error of the transport's own with a `code` like the system's. */
export function connectionError(code: string, message: string): ConnectionError {
  return Object.assign(new Error(message), { code });
}

/**
 * A callback threw although its connection is gone already, or not yet there (`onClose`, `accept`). It must not end the
 * process, and must not be lost: the runtime prints it as a warning.
 */
export function warnOfThrow(where: string, thrown: unknown): void {
  const error = asError(thrown);
  process.emitWarning(`${where} threw: ${error.stack ?? error.message}`);
}
