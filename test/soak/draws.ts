/**
 * Numbers of a sequence that all clients of the soak draw from: none may be given to two of them, and no more may be drawn
 * than were asked for. What looks like a read and is run twice is found by that.
 */
import { WrongAnswer } from "./wrong-answer.ts";

export class Draws {
  readonly #seen = new Set<number>();
  #asked = 0;

  /** A number is about to be asked for. */
  asked(): void {
    this.#asked += 1;
  }

  /** Throws when somebody has this number already. */
  answered(number: number): void {
    if (this.#seen.has(number)) throw new WrongAnswer("a number of the sequence", "one that nobody has", number);
    this.#seen.add(number);
  }

  /** Throws when the sequence has given out fewer numbers than were answered, or more than were asked for. */
  check(drawn: number): void {
    if (drawn >= this.#seen.size && drawn <= this.#asked) return;
    throw new WrongAnswer("numbers drawn from the sequence", `${this.#seen.size} to ${this.#asked}`, drawn);
  }
}
