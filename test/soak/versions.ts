/**
 * Objects of the database that change their definition during the soak, each answering with the number of its version.
 *
 * Who asks while nothing changes must be told the version that was last acknowledged; who asks during a change may be told
 * the new one already. An older one is an answer from a plan or a catalogue that is out of date.
 */
import { WrongAnswer } from "./wrong-answer.ts";

export class Versions {
  readonly #acknowledged: number[];
  readonly #sent: number[];

  constructor(objects: number) {
    this.#acknowledged = Array.from({ length: objects }, () => 0);
    this.#sent = Array.from({ length: objects }, () => 0);
  }

  get objects(): number {
    return this.#sent.length;
  }

  /** A change of `object` is about to be sent; returns its version. */
  next(object: number): number {
    return (this.#sent[object] = (this.#sent[object] as number) + 1);
  }

  /** PostgreSQL has acknowledged this version. */
  acknowledge(object: number, version: number): void {
    this.#acknowledged[object] = version;
  }

  /** The oldest version that a question asked now may be answered with. */
  oldest(object: number): number {
    return this.#acknowledged[object] as number;
  }

  /** Throws when `version` is older than `oldest` (taken when the question was asked) or was never sent. */
  check(object: number, oldest: number, version: number): void {
    const newest = this.#sent[object] as number;
    if (version >= oldest && version <= newest) return;
    throw new WrongAnswer(`version of object ${object}`, `${oldest} to ${newest}`, version);
  }
}
