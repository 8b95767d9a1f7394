/** The part of PostgreSQL that keeps named statements: what it has, what it skips, which SQLSTATE it answers with. */

export interface ClientMessage {
  readonly type: "P" | "B" | "D" | "C" | "E" | "S" | "Q";
  /** The statement's name; empty is the unnamed one. */
  readonly name: string;
  /** Of a Parse. A text that begins with "bad" cannot be parsed, one with "odd" fails when it is executed. */
  readonly sql: string;
}

export class StatementBackend {
  readonly #statements = new Map<string, string>();
  /** Not PostgreSQL's but PgBouncer's memory: what a name would be if its Parse had not been refused or skipped. */
  readonly #lost: Map<string, string> | null;
  #portal: string | null = null;
  #skipping = false;
  #open = false;

  /** `remembersLost`: a name whose Parse came to nothing works nevertheless when it is used. */
  constructor(remembersLost = false) {
    this.#lost = remembersLost ? new Map() : null;
  }

  get isIdle(): boolean {
    return !this.#open && !this.#skipping;
  }

  has(name: string): boolean {
    return this.#statements.has(name);
  }

  /** Its answers: a type each, an error as `E` with its SQLSTATE. */
  take({ type, name, sql }: ClientMessage): string[] {
    if (type === "S") {
      this.#skipping = false;
      this.#open = false;
      this.#portal = null;
      return ["Z"];
    }
    if (this.#skipping) {
      if (type === "P" && name !== "") this.#lost?.set(name, sql);
      return [];
    }
    if (type === "Q") {
      this.#open = false;
      this.#portal = null;
      this.#statements.delete("");
      return sql.startsWith("bad") ? ["E42601", "Z"] : ["C", "Z"];
    }
    this.#open = true;
    const answers = this.#obey(type, name, sql);
    if (answers[0]?.startsWith("E") === true) this.#skipping = true;
    return answers;
  }

  #obey(type: string, name: string, sql: string): string[] {
    switch (type) {
      case "P":
        if (sql.startsWith("bad")) {
          if (name !== "" && !this.#statements.has(name)) this.#lost?.set(name, sql);
          return ["E42601"];
        }
        if (name !== "" && this.#statements.has(name)) return ["E42P05"];
        this.#statements.set(name, sql);
        this.#lost?.delete(name);
        return ["1"];
      case "B":
        if (this.#isLostAndBad(name)) return ["E42601"];
        this.#portal = this.#meaningOf(name) ?? null;
        return this.#portal === null ? ["E26000"] : ["2"];
      case "D":
        if (this.#isLostAndBad(name)) return ["E42601"];
        return this.#meaningOf(name) === undefined ? ["E26000"] : ["t", "n"];
      case "C":
        this.#statements.delete(name);
        this.#lost?.delete(name);
        return ["3"];
      default:
        if (this.#portal === null) return ["E34000"];
        // The text is part of the answer: another client's statement under the name would show.
        return this.#portal.startsWith("odd") ? ["E22012"] : [`C${this.#portal}`];
    }
  }

  #meaningOf(name: string): string | undefined {
    return this.#statements.get(name) ?? this.#lost?.get(name);
  }

  #isLostAndBad(name: string): boolean {
    return !this.#statements.has(name) && this.#lost?.get(name)?.startsWith("bad") === true;
  }
}
