/** A connection of the soak ended while something was expected from it: what was said last, and by whose will. */

export class LostConnection extends Error {
  /** Fields of the FATAL error that came before the end; null when there was none. */
  readonly farewell: Readonly<Record<string, string>> | null;
  /** True: this side left, on purpose. */
  readonly isOurs: boolean;

  constructor(farewell: Readonly<Record<string, string>> | null, isOurs: boolean) {
    super(farewell === null ? "the connection was closed without a word" : `${farewell["C"]}: ${farewell["M"]}`);
    this.name = "LostConnection";
    this.farewell = farewell;
    this.isOurs = isOurs;
  }

  /** The SQLSTATE of the farewell, or `closed`. */
  get sqlstate(): string {
    return this.farewell?.["C"] ?? "closed";
  }
}
