/**
 * What SHOW SHARING counts for one pool, since the pool is there. The hot path adds to fields and to figures by reason; nothing here knows
 * what the reasons mean: those of moves and seals are the pool core's, those of refusals are `sharing/`'s and the session's.
 */

export class SharingCounters {
  /** Statements that were sent to a shared server. One that was moved is counted each time. */
  rides = 0;
  /** Of those, how many were sent behind another's. */
  behindOthers = 0;
  /** Statements that may share and ran by themselves, to show how long they take. */
  trials = 0;
  /** Riders that were taken back, to be sent elsewhere. */
  readonly moves = new Map<string, number>();
  /** Times a shared server was given no more. */
  readonly seals = new Map<string, number>();
  /** Statements that had to wait for a server and could not share one. */
  readonly refusals = new Map<string, number>();
}

export function countUp(figures: Map<string, number>, reason: string): void {
  figures.set(reason, (figures.get(reason) ?? 0) + 1);
}
