/** Waiting in tests: for a condition and with a deadline, never for a time. */
import { setTimeout as sleep } from "node:timers/promises";

const pollMs = 10;

/**
 * Calls `condition` until it returns something other than false, null or undefined, and returns that. Rejects after
 * `deadlineMs` with `what` in the message; so does a condition that still throws then, with its error as the cause.
 */
export async function waitFor<T>(
  what: string,
  condition: () => T | Promise<T>,
  deadlineMs = 10_000,
): Promise<NonNullable<T>> {
  const deadline = performance.now() + deadlineMs;
  let cause: unknown;
  for (;;) {
    try {
      const result = await condition();
      cause = undefined;
      if (result !== false && result !== null && result !== undefined) return result;
    } catch (error) {
      cause = error;
    }
    if (performance.now() > deadline) throw new Error(`waited ${deadlineMs} ms in vain for ${what}`, { cause });
    await sleep(pollMs);
  }
}
