/** The levels of log lines, most urgent first, and how much `verbose` shows. PgBouncer's names. */
export const LogLevel = {
  fatal: "FATAL",
  error: "ERROR",
  warning: "WARNING",
  log: "LOG",
  debug: "DEBUG",
  noise: "NOISE",
} as const;
export type LogLevel = (typeof LogLevel)[keyof typeof LogLevel];

/** The least `verbose` at which lines of a level are written. */
export const VERBOSE_OF_LEVEL: Readonly<Record<LogLevel, number>> = {
  FATAL: 0,
  ERROR: 0,
  WARNING: 0,
  LOG: 0,
  DEBUG: 1,
  NOISE: 2,
};
