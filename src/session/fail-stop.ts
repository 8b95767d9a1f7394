/**
 * What goes before a client's unit without a Sync of its own: if it fails, PostgreSQL skips the unit, a Query too.
 *
 * Such an owner of steps is told of the refusal before anything else is read: it decides who hears of it, and what becomes of the rest.
 */
import type { EntryOwner } from "../pipeline/pipeline.ts";

export interface FailStop extends EntryOwner {
  /** One of its steps was answered with the ErrorResponse at `at`, of which `size` bytes are there. May close or give away the server. */
  refused(memory: Uint8Array, at: number, size: number): void;
}

export function isFailStop(owner: EntryOwner): owner is FailStop {
  return "refused" in owner;
}
