/**
 * The keys that an entry of `[databases]`, `[users]` or `[peers]` may have, as a table, and reading an entry by it.
 *
 * Numbers are read leniently, as C's `atoi` does: leading digits count, anything else is 0. PgBouncer does so silently;
 * here a warning tells of it. Counterpart: the long `if` chains of loader.c.
 */
import type { ConfigPlace, ConfigProblem } from "./config-problem.ts";
import { invalidValue, problemAt } from "./config-problem.ts";
import { hidePasswords, parseConnectionString } from "./connection-string.ts";
import { LoadBalanceHosts, PoolMode, matchWord } from "./setting-words.ts";

/** How the value of a key is read. */
export type EntryKeyType = "text" | "secret" | "number" | "hosts" | "port" | "poolMode" | "loadBalanceHosts";

export interface EntryKeyRow {
  readonly key: string;
  /** An older name for the key. */
  readonly alias?: string;
  readonly type: EntryKeyType;
  /** For the reference page: what holds when the key is absent. */
  readonly default: string;
  readonly doc: string;
}

/** What the three kinds of entry call things in their error messages. */
export interface EntryDialect {
  readonly rows: readonly EntryKeyRow[];
  readonly syntaxError: string;
  readonly unknownKey: string;
}

/** The values of an entry's keys, read by type. Only the keys that were given are there. */
export interface EntryValues {
  text(key: string): string | null;
  number(key: string): number | null;
  poolMode(): PoolMode | null;
  loadBalanceHosts(): LoadBalanceHosts | null;
}

/** Where problems and warnings are collected. */
export interface Findings {
  readonly problems: ConfigProblem[];
  readonly warnings: ConfigProblem[];
}

const INT_MAX = 2147483647;

/** Reads the value of an entry's line. Null when something is wrong with it; then `findings.problems` says what. */
export function readEntry(
  dialect: EntryDialect,
  name: string,
  value: string,
  place: ConfigPlace,
  findings: Findings,
): EntryValues | null {
  const pairs = parseConnectionString(value);
  const refuse = (reason: string): void => {
    findings.problems.push(invalidValue(place, name, hidePasswords(value), reason));
  };
  if (pairs === null) {
    refuse(dialect.syntaxError);
    return null;
  }
  const given = new Map<string, string>();
  let good = true;
  for (const [key, text] of pairs) {
    const row = dialect.rows.find((candidate) => candidate.key === key || candidate.alias === key);
    const wrong = row === undefined ? `${dialect.unknownKey}: ${key}` : wrongValue(row.type, text);
    if (wrong !== null) {
      refuse(wrong);
      good = false;
    }
    if (row === undefined) continue;
    if (row.type === "number" && !/^[+-]?[0-9]+$/.test(text)) {
      const warning = `value "${text}" for ${key} of ${name} is not a whole number, ${leadingNumber(text)} is used`;
      findings.warnings.push(problemAt(place, warning));
    }
    given.set(row.key, text);
  }
  return good ? new GivenValues(given) : null;
}

/** Why a value is refused, in PgBouncer's words; null when it is not. */
function wrongValue(type: EntryKeyType, text: string): string | null {
  switch (type) {
    case "port": {
      const port = leadingNumber(text);
      return port >= 1 && port <= 65535 ? null : `invalid port: ${text}`;
    }
    case "hosts":
      return text.split(",").some((host) => host.trim() === "") ? `invalid host: ${text}` : null;
    case "poolMode":
      return matchWord(Object.values(PoolMode), text) === null ? `invalid pool mode: ${text}` : null;
    case "loadBalanceHosts":
      return matchWord(Object.values(LoadBalanceHosts), text) === null ? `invalid load_balance_hosts: ${text}` : null;
    case "text":
    case "secret":
    case "number":
    default:
      return null;
  }
}

/** C's `atoi`, held inside 32 bits. */
function leadingNumber(text: string): number {
  const match = /^[ \t\n\v\f\r]*([+-]?[0-9]+)/.exec(text);
  if (match === null) return 0;
  return Math.max(-INT_MAX, Math.min(INT_MAX, Number(match[1])));
}

class GivenValues implements EntryValues {
  readonly #given: ReadonlyMap<string, string>;

  constructor(given: ReadonlyMap<string, string>) {
    this.#given = given;
  }

  text(key: string): string | null {
    return this.#given.get(key) ?? null;
  }

  number(key: string): number | null {
    const text = this.#given.get(key);
    return text === undefined ? null : leadingNumber(text);
  }

  poolMode(): PoolMode | null {
    return matchWord(Object.values(PoolMode), this.#given.get("pool_mode") ?? "");
  }

  loadBalanceHosts(): LoadBalanceHosts | null {
    return matchWord(Object.values(LoadBalanceHosts), this.#given.get("load_balance_hosts") ?? "");
  }
}

/** A number that means something only when it is not negative; else null, inherit. */
export function notNegative(number: number | null): number | null {
  return number !== null && number >= 0 ? number : null;
}

/** A number that means something only when it is above 0; else null, inherit. */
export function positive(number: number | null): number | null {
  return number !== null && number > 0 ? number : null;
}

/** 0 = no; any other number = yes. */
export function yesOrNo(value: number | null): boolean | null {
  return value === null ? null : value !== 0;
}

/** Whole seconds as milliseconds. */
export function secondsToMs(seconds: number | null): number | null {
  return seconds === null ? null : seconds * 1000;
}
