/**
 * A text that must not be seen: passwords and keys from the configuration.
 *
 * Nothing that prints an object shows it: not `util.inspect` or `console.log`, not JSON, not a template string.
 * Who needs the text says so by calling `reveal()`.
 */
export class Secret {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  /** The text itself. The caller keeps it out of logs, errors and answers. */
  reveal(): string {
    return this.#text;
  }

  /** Whether both hide the same text; for noticing that a reload changed it, not for checking a stranger's password. */
  equals(other: Secret | null): boolean {
    return other !== null && other.#text === this.#text;
  }

  toString(): string {
    return HIDDEN;
  }

  toJSON(): string {
    return HIDDEN;
  }

  [Symbol.toPrimitive](): string {
    return HIDDEN;
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return `Secret(${HIDDEN})`;
  }
}

/** What is printed in a secret's place. */
export const HIDDEN = "****";

/** Whether two secrets, either of which may be missing, are the same. */
export function sameSecret(a: Secret | null, b: Secret | null): boolean {
  return a === null ? b === null : a.equals(b);
}
