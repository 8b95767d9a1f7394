/**
 * The DATABASE and USER columns of an HBA rule: a list of names and keywords, some of them in files of their own
 * (`@file`). Which column asks for what is the rule's. PgBouncer's counterpart is `parse_names` in `hba.c`.
 *
 * PgBouncer reads both columns with the same keywords, so `sameuser` means the same in either, and an unquoted
 * `replication` is no name in either.
 *
 * A name file holds one list a line. Blank lines and comments in it are passed over, where PgBouncer gives the rule up.
 */
import { posix } from "node:path";
import { decodeText } from "../protocol/byte-text.ts";
import { HbaTokens, TokenKind } from "./hba-tokens.ts";

/** Files in files, from the HBA file down; PostgreSQL's bound. It ends files that name themselves. */
const includeDepthMax = 10;

export class HbaNames {
  #all = false;
  #sameUser = false;
  #replication = false;
  readonly #names = new Set<string>();

  /** `replication` is in the list. */
  get hasReplication(): boolean {
    return this.#replication;
  }

  /** `pair`: the name in the other column's place, for `sameuser`. */
  matches(name: string, pair: string): boolean {
    return this.#all || (this.#sameUser && name === pair) || this.#names.has(name);
  }

  /** True when `word`, unquoted, is a keyword, which is then in the list. */
  addKeyword(word: string): boolean {
    if (word === "all") this.#all = true;
    else if (word === "sameuser") this.#sameUser = true;
    else if (word === "replication") this.#replication = true;
    else return false;
    return true;
  }

  addName(name: string): void {
    this.#names.add(name);
  }

  addAll(other: HbaNames): void {
    this.#all ||= other.#all;
    this.#sameUser ||= other.#sameUser;
    this.#replication ||= other.#replication;
    for (const name of other.#names) this.#names.add(name);
  }
}

/** Reads lists, and the files that they name, each file once. Lives as long as the reading of one HBA file. */
export class HbaNameReader {
  readonly #readFile: (path: string) => Uint8Array;
  readonly #problems: string[];
  readonly #files = new Map<string, HbaNames>();

  /** `readFile` may throw. Warnings for the log are added to `problems`. */
  constructor(readFile: (path: string) => Uint8Array, problems: string[]) {
    this.#readFile = readFile;
    this.#problems = problems;
  }

  /** The list at hand; `tokens` then stand behind it. Null when it cannot be read. `fileName`: what `@file` is relative to. */
  read(tokens: HbaTokens, fileName: string): HbaNames | null {
    const names = new HbaNames();
    return this.#readInto(names, tokens, fileName, 0) ? names : null;
  }

  #readInto(names: HbaNames, tokens: HbaTokens, fileName: string, depth: number): boolean {
    for (;;) {
      if (!this.#readOne(names, tokens, fileName, depth)) return false;
      tokens.advance();
      if (tokens.kind !== TokenKind.comma) return true;
      tokens.advance();
    }
  }

  #readOne(names: HbaNames, tokens: HbaTokens, fileName: string, depth: number): boolean {
    const { text } = tokens;
    if (!tokens.isName) return false;
    if (tokens.kind === TokenKind.quoted) {
      names.addName(text);
      return true;
    }
    if (names.addKeyword(text)) return true;
    if (text === "samerole" || text === "samegroup") return this.#refuse(`${text} is not supported`);
    if (text.startsWith("+")) return this.#refuse(`${text}: groups of users are not supported`);
    if (text.startsWith("@")) {
      const included = this.#readNameFile(pathBeside(fileName, text.slice(1)), depth + 1);
      if (included === null) return false;
      names.addAll(included);
      return true;
    }
    names.addName(text);
    return true;
  }

  #readNameFile(path: string, depth: number): HbaNames | null {
    const known = this.#files.get(path);
    if (known !== undefined) return known;
    if (depth > includeDepthMax) {
      this.#problems.push(`could not open name file ${path}: more than ${includeDepthMax} files in one another`);
      return null;
    }
    let text: string;
    try {
      const bytes = this.#readFile(path);
      text = decodeText(bytes, 0, bytes.length);
    } catch (error) {
      this.#problems.push(
        `could not open name file ${path}: ${error instanceof Error ? error.message : String(error)}`,
      );
      return null;
    }
    const names = new HbaNames();
    for (const [index, line] of text.split("\n").entries()) {
      const tokens = new HbaTokens(line);
      if (tokens.isEnd) continue;
      if (!this.#readInto(names, tokens, path, depth)) {
        this.#problems.push(`could not parse name file ${path} line ${index + 1}`);
        return null;
      }
      if (!tokens.isEnd) {
        this.#problems.push(`name file ${path} line ${index + 1}: what stands behind the list is ignored`);
      }
    }
    this.#files.set(path, names);
    return names;
  }

  #refuse(problem: string): false {
    this.#problems.push(problem);
    return false;
  }
}

/** `path` as seen from the folder of `fileName`. */
function pathBeside(fileName: string, path: string): string {
  const folder = posix.dirname(fileName);
  if (path.startsWith("/") || folder === ".") return path;
  return folder.endsWith("/") ? `${folder}${path}` : `${folder}/${path}`;
}
