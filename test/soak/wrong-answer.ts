/** An answer that is not the one its asker must get: what the soak is there to find. */

/** How much of an answer a complaint shows. */
const shownCharactersMax = 300;

export class WrongAnswer extends Error {
  constructor(what: string, expected: unknown, got: unknown) {
    super(`${what}: expected ${shown(expected)}, got ${shown(got)}`);
    this.name = "WrongAnswer";
  }
}

function shown(value: unknown): string {
  const text = typeof value === "string" ? value : (JSON.stringify(value) ?? "nothing");
  return text.length > shownCharactersMax ? `${text.slice(0, shownCharactersMax)}… (${text.length} characters)` : text;
}
