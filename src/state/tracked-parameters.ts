/**
 * Settings that follow a client from server to server in transaction and statement mode: DateStyle, client_encoding,
 * TimeZone, standard_conforming_strings, application_name, and those of `track_extra_parameters`.
 *
 * Values are kept in arrays in the order of the tracked names; an array is never changed, a change makes a new one, and
 * equal arrays are interned. So the usual question "is this server in this client's state?" compares two references.
 *
 * Counterpart: PgBouncer's `varcache.c` (order, quoting and the comparison that ignores case are its own).
 */

const ALWAYS_TRACKED = ["DateStyle", "client_encoding", "TimeZone", "standard_conforming_strings", "application_name"];

/** Values in the order of `TrackedParameters.names`; null where the value is not known. */
export type ParameterValues = readonly (string | null)[];

/** Beyond this many different states, arrays are compared by content. */
const INTERNED_MAX = 10_000;
/** So are those that are longer: clients choose their names, and all of them together must stay small. */
const INTERNED_LENGTH_MAX = 512;

export class TrackedParameters {
  /** Spelled as ParameterStatus and SET spell them. */
  readonly names: readonly string[];
  /** A client or server of which nothing is known. */
  readonly unknown: ParameterValues;
  readonly #indexes = new Map<string, number>();
  readonly #interned = new Map<string, ParameterValues>();
  readonly #parsing = new WeakMap<ParameterValues, string>();
  /** Where the one stands that no statement's meaning depends on. */
  readonly #harmless: number;

  constructor(extra: readonly string[]) {
    const names: string[] = [];
    for (const name of [...ALWAYS_TRACKED, ...extra]) {
      const key = name.toLowerCase();
      if (name === "" || this.#indexes.has(key)) continue;
      this.#indexes.set(key, names.length);
      names.push(name);
    }
    this.names = names;
    this.#harmless = this.indexOf("application_name");
    this.unknown = this.#intern(names.map(() => null));
  }

  /** Where `name` (any case) stands in the values, −1 when it is not tracked. */
  indexOf(name: string): number {
    return this.#indexes.get(name.toLowerCase()) ?? -1;
  }

  /** What of `values` the meaning of a statement may depend on when it is parsed, as a text without NUL. */
  parsing(values: ParameterValues): string {
    let text = this.#parsing.get(values);
    if (text === undefined) {
      text = values.map((value, index) => (index === this.#harmless ? "" : (value ?? ""))).join("\x01");
      this.#parsing.set(values, text);
    }
    return text;
  }

  /** `values` with one of them changed. */
  with(values: ParameterValues, index: number, value: string): ParameterValues {
    if (values[index] === value) return values;
    const changed = values.slice();
    changed[index] = value;
    return this.#intern(changed);
  }

  /** `values` with those that are not known taken from `defaults`. */
  filled(values: ParameterValues, defaults: ParameterValues): ParameterValues {
    if (!values.includes(null)) return values;
    return this.#intern(values.map((value, index) => value ?? defaults[index] ?? null));
  }

  /** Indexes of the values known on both sides and different, ignoring case. */
  differing(client: ParameterValues, server: ParameterValues): number[] {
    const indexes: number[] = [];
    if (client === server) return indexes;
    for (let i = 0; i < client.length; i++) {
      const wanted = client[i] as string | null;
      const actual = server[i] as string | null;
      if (wanted === null || actual === null || wanted === actual) continue;
      if (wanted.toLowerCase() !== actual.toLowerCase()) indexes.push(i);
    }
    return indexes;
  }

  /** One Query text that sets the values at `indexes`. */
  setText(values: ParameterValues, indexes: readonly number[]): string {
    let text = "";
    for (const index of indexes) {
      const name = this.names[index] as string;
      const value = values[index] as string;
      text += `SET ${name}=${name.toLowerCase() === "search_path" ? searchPath(value) : literal(value)};`;
    }
    return text;
  }

  #intern(values: (string | null)[]): ParameterValues {
    const key = values.map((value) => (value === null ? "-" : `+${value}`)).join("\0");
    const known = this.#interned.get(key);
    if (known !== undefined) return known;
    if (this.#interned.size < INTERNED_MAX && key.length <= INTERNED_LENGTH_MAX) this.#interned.set(key, values);
    return values;
  }
}

/**
 * `value` as an SQL literal, in every client encoding: a backslash is written by its number, because in GBK, SJIS and
 * their like the byte of one can be the second half of a character, and what is behind it would lose its backslash.
 */
export function literal(value: string): string {
  const quoted = `'${value.replaceAll("'", "''")}'`;
  return value.includes("\\") ? `E${quoted.replaceAll("\\", "\\x5c")}` : quoted;
}

/** One element of a search_path, as PostgreSQL's SplitIdentifierString takes it, and what separates it from the next. */
const PATH_ELEMENT = /\s*(?:"((?:[^"]|"")*)"|([^",\s][^,\s]*))\s*(,|$)/y;

/**
 * The elements of a search_path as literals. As they are reported, `SET search_path` would not take all of them: the
 * empty one, a name that is also a word of SQL. What is no list of names is set as one name, and never becomes SQL.
 */
function searchPath(value: string): string {
  const element = new RegExp(PATH_ELEMENT);
  const literals: string[] = [];
  let separator: string | undefined = value.trim() === "" ? undefined : ",";
  while (separator === ",") {
    const found = element.exec(value);
    if (found === null) return literal(value);
    const [, quoted, plain = "", behind] = found;
    literals.push(literal(quoted?.replaceAll('""', '"') ?? plain.replaceAll(/[A-Z]+/g, (word) => word.toLowerCase())));
    separator = behind;
  }
  return literals.length === 0 ? "''" : literals.join(",");
}
