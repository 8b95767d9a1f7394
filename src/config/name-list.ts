/**
 * A comma-separated list as it stands in the configuration: the text, for SHOW CONFIG, and the names in it.
 *
 * Spaces around a name and empty places are dropped, as PgBouncer does. Compared case-sensitively.
 */
export class NameList {
  /** As written; SHOW CONFIG prints this. */
  readonly text: string;
  readonly names: readonly string[];
  readonly #set: ReadonlySet<string>;

  constructor(text: string) {
    this.text = text;
    this.names = Object.freeze(
      text
        .split(",")
        .map((name) => name.trim())
        .filter((name) => name !== ""),
    );
    this.#set = new Set(this.names);
  }

  has(name: string): boolean {
    return this.#set.has(name);
  }
}
