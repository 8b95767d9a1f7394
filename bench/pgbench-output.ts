/**
 * Reads what pgbench prints: progress lines, the transaction log, the final summary. Pure.
 *
 * Written for pgbench 13 to 18: later versions append to progress lines ("0 failed"), which is ignored here.
 */

export interface ProgressLine {
  /** Seconds since the epoch at the end of the interval (`--progress-timestamp`). */
  readonly atSeconds: number;
  readonly tps: number;
  readonly latencyMs: number;
}

const PROGRESS = /^progress: (\d+(?:\.\d+)?) s, (\d+(?:\.\d+)?) tps, lat (\d+(?:\.\d+)?|NaN|-nan|nan) ms/;

/** Null for any other line. An interval without a transaction has no latency: it counts as 0 and weighs nothing. */
export function parseProgress(line: string): ProgressLine | null {
  const found = PROGRESS.exec(line);
  if (found === null) return null;
  const latency = Number(found[3]);
  return { atSeconds: Number(found[1]), tps: Number(found[2]), latencyMs: Number.isNaN(latency) ? 0 : latency };
}

export interface Window {
  readonly seconds: number;
  readonly transactions: number;
  readonly tps: number;
  readonly latencyAvgMs: number;
}

/**
 * What happened between the line `opening` and the last one. Each line speaks of the interval that ends with it, and
 * that is not exactly a second: hence lengths from the stamps. Null without a line behind `opening`.
 */
export function measureWindow(lines: readonly ProgressLine[], opening: number): Window | null {
  const first = lines[opening];
  const last = lines.at(-1);
  if (first === undefined || last === undefined || first === last) return null;
  let transactions = 0;
  let latencyMs = 0;
  for (let i = opening + 1; i < lines.length; i++) {
    const line = lines[i] as ProgressLine;
    const done = line.tps * (line.atSeconds - (lines[i - 1] as ProgressLine).atSeconds);
    transactions += done;
    latencyMs += line.latencyMs * done;
  }
  const seconds = last.atSeconds - first.atSeconds;
  if (seconds <= 0) return null;
  return {
    seconds,
    transactions,
    tps: transactions / seconds,
    latencyAvgMs: transactions > 0 ? latencyMs / transactions : 0,
  };
}

/**
 * Latencies in ms of the logged transactions that ended in [fromSeconds, toSeconds). A log line is
 * `client number latencyUs script epochSeconds epochUs …`; "failed" and "skipped" stand where the latency would.
 */
export function parseLog(text: string, fromSeconds: number, toSeconds: number): number[] {
  const latencies: number[] = [];
  for (const line of text.split("\n")) {
    const fields = line.split(" ");
    if (fields.length < 6) continue;
    const latencyUs = Number(fields[2]);
    const atSeconds = Number(fields[4]) + Number(fields[5]) / 1e6;
    if (Number.isNaN(latencyUs) || !(atSeconds >= fromSeconds && atSeconds < toSeconds)) continue;
    latencies.push(latencyUs / 1000);
  }
  return latencies;
}

/** What went wrong according to pgbench's output, in one line; null when nothing did. */
export function findTrouble(stdout: string, stderr: string): string | null {
  const failed = /^number of failed transactions: (\d+)/m.exec(stdout);
  if (failed !== null && failed[1] !== "0") return `${failed[1]} transactions failed`;
  const error = /^pgbench: (?:error|fatal): (.*)$/m.exec(stderr);
  return error === null ? null : (error[1] as string);
}
