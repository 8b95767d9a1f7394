/**
 * A scripted session's settings: values, what a transaction would take back, and what has to be reported.
 *
 * As PostgreSQL 14 and later do it, changes of reported settings are told right before ReadyForQuery.
 */

/** The settings that are reported with ParameterStatus, and their values on a server that was asked for nothing else. */
export const REPORTED: ReadonlyMap<string, string> = new Map([
  ["server_version", "18.4"],
  ["server_encoding", "UTF8"],
  ["client_encoding", "UTF8"],
  ["DateStyle", "ISO, MDY"],
  ["TimeZone", "Etc/UTC"],
  ["IntervalStyle", "postgres"],
  ["standard_conforming_strings", "on"],
  ["application_name", ""],
  ["integer_datetimes", "on"],
  ["in_hot_standby", "off"],
  ["is_superuser", "off"],
]);

/** Reported settings that follow a client from server to server. */
export const TRACKED: readonly string[] = [
  "client_encoding",
  "DateStyle",
  "TimeZone",
  "IntervalStyle",
  "standard_conforming_strings",
  "application_name",
];

export class SessionSettings {
  readonly #baseline: ReadonlyMap<string, string>;
  #values: Map<string, string>;
  /** Values as they were when the transaction began to change them. */
  #before: Map<string, string> | null = null;
  readonly #told: Map<string, string>;

  /** `startup`: parameters of the startup packet. */
  constructor(startup: ReadonlyMap<string, string>) {
    const baseline = new Map(REPORTED);
    for (const [name, value] of startup) {
      const known = spelled(name);
      if (known !== null) baseline.set(known, value);
    }
    this.#baseline = baseline;
    this.#values = new Map(baseline);
    this.#told = new Map(baseline);
  }

  get(name: string): string | undefined {
    return this.#values.get(spelled(name) ?? name.toLowerCase());
  }

  /** What a login tells. */
  all(): Iterable<[string, string]> {
    return this.#told;
  }

  set(name: string, value: string): void {
    this.#before ??= new Map(this.#values);
    this.#values.set(spelled(name) ?? name.toLowerCase(), value);
  }

  /** Back to what the session began with. */
  reset(): void {
    this.#before = null;
    this.#values = new Map(this.#baseline);
  }

  commit(): void {
    this.#before = null;
  }

  abort(): void {
    if (this.#before !== null) this.#values = this.#before;
    this.#before = null;
  }

  /** Reported settings that have another value than was told last; they count as told now. */
  takeChanges(): [string, string][] {
    const changes: [string, string][] = [];
    for (const name of this.#baseline.keys()) {
      const value = this.#values.get(name) as string;
      if (this.#told.get(name) === value) continue;
      this.#told.set(name, value);
      changes.push([name, value]);
    }
    return changes;
  }
}

function spelled(name: string): string | null {
  if (REPORTED.has(name)) return name;
  const lower = name.toLowerCase();
  for (const known of REPORTED.keys()) if (known.toLowerCase() === lower) return known;
  return null;
}
