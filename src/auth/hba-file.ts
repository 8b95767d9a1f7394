/**
 * The text of PgBouncer's `auth_hba_file` → rules.
 *
 *   # TYPE   DATABASE     USER       ADDRESS       METHOD         OPTIONS
 *   local    all          postgres                 peer           map=crew
 *   hostssl  app,"My DB"  @users     10.0.0.0/8    scram-sha-256
 *   host     replication  standby    ::1  ffff::   trust
 *
 * A line that cannot be read is reported in PgBouncer's words and skipped; the others stay. Nothing here throws. Reading
 * the file itself, and what follows when that fails, are the pooler's.
 */
import { AddressRange, parseAddress, prefixMask } from "./hba-address.ts";
import { HbaNameReader } from "./hba-names.ts";
import { HbaMethod, HbaRules, HbaType } from "./hba-rules.ts";
import type { HbaRule } from "./hba-rules.ts";
import { HbaTokens, TokenKind } from "./hba-tokens.ts";
import type { IdentMap } from "./ident-map.ts";

export interface HbaContext {
  /** Of the HBA file: what `@file` is relative to, and what a warning names. */
  readonly fileName: string;
  /** For `@file`. May throw; the error's message is logged. */
  readonly readFile: (path: string) => Uint8Array;
  /** Of `auth_ident_file`, for `map=`. */
  readonly identMaps: ReadonlyMap<string, IdentMap>;
}

export interface HbaFile {
  readonly rules: HbaRules;
  /** Warnings for the log, in the order of the lines. */
  readonly problems: readonly string[];
}

/** `text`: the whole file, decoded by `decodeText`, so that names compare byte by byte. */
export function parseHba(text: string, context: HbaContext): HbaFile {
  const problems: string[] = [];
  const names = new HbaNameReader(context.readFile, problems);
  const rules: HbaRule[] = [];
  for (const [index, lineText] of text.split("\n").entries()) {
    const tokens = new HbaTokens(lineText);
    if (tokens.isEnd) continue;
    const rule = new LineReader(tokens, index + 1, context, names, problems).read();
    if (rule === null) problems.push(`could not parse hba config line ${index + 1}`);
    else rules.push(rule);
  }
  return { rules: new HbaRules(rules), problems };
}

const types: ReadonlySet<string> = new Set(Object.values(HbaType));
const methods: ReadonlySet<string> = new Set(Object.values(HbaMethod));

/** PgBouncer's numbers of token kinds, which one of its messages prints. */
const tokenNumbers: Readonly<Record<TokenKind, number>> = { quoted: 0, word: 1, comma: 2, broken: 3, end: 4 };

/** What a column may hold in place of a value: the line is bad, and what there is to say about it has been said. */
const bad = Symbol("bad");

/** Reads one line, column by column, from left to right. */
class LineReader {
  readonly #tokens: HbaTokens;
  readonly #line: number;
  readonly #context: HbaContext;
  readonly #names: HbaNameReader;
  readonly #problems: string[];

  constructor(tokens: HbaTokens, line: number, context: HbaContext, names: HbaNameReader, problems: string[]) {
    this.#tokens = tokens;
    this.#line = line;
    this.#context = context;
    this.#names = names;
    this.#problems = problems;
  }

  /** Null for a bad line. */
  read(): HbaRule | null {
    const type = this.#type();
    if (type === bad) return null;
    const databases = this.#names.read(this.#tokens, this.#context.fileName);
    if (databases === null) return null;
    const users = this.#names.read(this.#tokens, this.#context.fileName);
    if (users === null) return null;
    const addresses = type === HbaType.local ? null : this.#addresses();
    if (addresses === bad) return null;
    const method = this.#method();
    if (method === bad) return null;

    const rule = { type, databases, users, addresses, method, line: this.#line };
    if (method === HbaMethod.ldap) return { ...rule, map: null, options: this.#tokens.rest };
    this.#tokens.advance();
    const map = this.#map();
    return map === bad ? null : { ...rule, map, options: "" };
  }

  #type(): HbaType | typeof bad {
    const { kind, text } = this.#tokens;
    if (kind !== TokenKind.word || !types.has(text)) return this.#refuse("unknown type");
    this.#tokens.advance();
    return text as HbaType;
  }

  /** `all`, `10.0.0.0/8`, or `10.0.0.0` and `255.0.0.0` in two columns. Null: every address. */
  #addresses(): AddressRange | null | typeof bad {
    const tokens = this.#tokens;
    if (tokens.takeKeyword("all")) return null;
    const range = this.#range();
    if (range === bad) return bad;
    tokens.advance();
    if (range.hasStrayBits) {
      this.#problems.push(`address does not match mask in ${this.#context.fileName} line #${this.#line}: ${range}`);
    }
    return range;
  }

  /** Leaves the tokens at the last one that belongs to the range. */
  #range(): AddressRange | typeof bad {
    const tokens = this.#tokens;
    if (tokens.kind !== TokenKind.word) {
      return this.#refuse(`did not find address - ${tokenNumbers[tokens.kind]} - '${tokens.text}'`);
    }
    const slash = tokens.text.indexOf("/");
    const baseText = slash < 0 ? tokens.text : tokens.text.slice(0, slash);
    const base = parseAddress(baseText);
    if (base === null) return this.#refuse(`failed to parse address - ${baseText}`);
    if (slash >= 0) {
      const mask = prefixMask(base, tokens.text.slice(slash + 1));
      return mask === null ? this.#refuse("invalid mask") : new AddressRange(base, mask);
    }
    tokens.advance();
    if (tokens.kind !== TokenKind.word) return this.#refuse("did not find mask");
    const mask = parseAddress(tokens.text);
    if (mask?.length !== base.length) return this.#refuse(`failed to parse mask: ${tokens.text}`);
    return new AddressRange(base, mask);
  }

  /** Leaves the tokens at the method. */
  #method(): HbaMethod | typeof bad {
    const { kind, text } = this.#tokens;
    if (kind === TokenKind.word && methods.has(text)) return text as HbaMethod;
    return this.#refuse(`unsupported method: buf=${text}`);
  }

  /** What stands behind the method: nothing, or `map=NAME`. */
  #map(): IdentMap | null | typeof bad {
    const tokens = this.#tokens;
    let map: IdentMap | null = null;
    if (tokens.kind === TokenKind.word) {
      if (!tokens.text.startsWith("map=")) {
        return this.#refuse(`Ident map ${tokens.text} is malformed. It is not in map=value format.`);
      }
      const name = tokens.text.slice("map=".length);
      map = this.#context.identMaps.get(name) ?? null;
      if (map === null) return this.#refuse(`Ident map ${name} is not found in ident config file`);
      tokens.advance();
    }
    return tokens.isEnd ? map : this.#refuse("unsupported parameters");
  }

  #refuse(problem: string): typeof bad {
    this.#problems.push(`hba line ${this.#line}: ${problem}`);
    return bad;
  }
}
