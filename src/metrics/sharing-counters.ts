/** What SHOW SHARING counts for one pool: plain figures by reason, that the hot path adds to. */

export class SharingCounters {
  /** Statements that were sent to a server that others' statements were on, or could come to. */
  rides = 0;
  /** Of those, how many were sent behind another's. */
  behindOthers = 0;
  /** Statements that ran by themselves, to learn how long they take. */
  trials = 0;
  /** Riders that were taken back and sent elsewhere. */
  readonly moves = new Map<string, number>();
  /** Times a shared server was given no more. */
  readonly seals = new Map<string, number>();
  /** Statements that had to wait and could not share. */
  readonly refusals = new Map<string, number>();
}

export function countUp(figures: Map<string, number>, reason: string): void {
  figures.set(reason, (figures.get(reason) ?? 0) + 1);
}
