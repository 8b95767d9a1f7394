/**
 * The text of PgBouncer's `auth_ident_file` → maps from names outside the database (of a certificate, of the operating
 * system) to database users.
 *
 *   # MAPNAME  SYSTEM-USER  DATABASE-USER
 *   crew       bob          app
 *   crew       "Eve Moe"    all
 *
 * No patterns, groups or includes. Lines with one map name add up, `all` allows every database user, and a bad line is
 * reported and skipped. PgBouncer passes over one word too many behind `all`; so does this, with a warning.
 *
 * Reading the file and deciding which map counts (`map=` in the HBA file) are done elsewhere.
 */
import { HbaTokens, TokenKind } from "./hba-tokens.ts";

interface Mapping {
  readonly systemUser: string;
  /** Null: every one. */
  readonly databaseUser: string | null;
}

/** One map: the lines of one name. */
export class IdentMap {
  readonly name: string;
  readonly #mappings: Mapping[] = [];

  constructor(name: string) {
    this.name = name;
  }

  add(systemUser: string, databaseUser: string | null): void {
    this.#mappings.push({ systemUser, databaseUser });
  }

  /**
   * May who proved to be a system user log in as `databaseUser`? `isSystemUser` compares a name of the map with what was
   * proved: a certificate has several names and its own way to compare them (`CertificateNames.contains`).
   */
  allows(isSystemUser: (name: string) => boolean, databaseUser: string): boolean {
    return this.#mappings.some(
      (mapping) =>
        (mapping.databaseUser === null || mapping.databaseUser === databaseUser) && isSystemUser(mapping.systemUser),
    );
  }
}

/** `IdentMap.allows` for a rule that may have no map: without one the names must be the same. */
export function identAllows(
  map: IdentMap | null,
  isSystemUser: (name: string) => boolean,
  databaseUser: string,
): boolean {
  return map === null ? isSystemUser(databaseUser) : map.allows(isSystemUser, databaseUser);
}

export interface IdentMaps {
  readonly maps: ReadonlyMap<string, IdentMap>;
  /** Warnings for the log, in PgBouncer's words, in the order of the lines. */
  readonly problems: readonly string[];
}

/** `text`: the whole file, decoded by `decodeText`. Never throws. */
export function parseIdentMaps(text: string): IdentMaps {
  const maps = new Map<string, IdentMap>();
  const problems: string[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    if (!readLine(new HbaTokens(line), maps, index + 1, problems)) {
      problems.push(`could not parse ident config line ${index + 1}`);
    }
  }
  return { maps, problems };
}

/** False when the line is to be reported. */
function readLine(tokens: HbaTokens, maps: Map<string, IdentMap>, line: number, problems: string[]): boolean {
  if (tokens.isEnd) return true;
  if (tokens.kind !== TokenKind.word) return false;
  const mapName = tokens.text;
  tokens.advance();

  if (!tokens.isName) return false;
  const systemUser = tokens.text;
  tokens.advance();

  if (!tokens.isName) return false;
  const databaseUser = tokens.isKeyword("all") ? null : tokens.text;
  tokens.advance();
  if (databaseUser === null && !tokens.isEnd) {
    problems.push(`ident line ${line}: what stands behind "all" is ignored`);
    tokens.advance();
  }

  if (!tokens.isEnd) {
    problems.push(`ident line ${line}: unsupported parameters`);
    return false;
  }
  const map = maps.get(mapName) ?? new IdentMap(mapName);
  maps.set(mapName, map);
  map.add(systemUser, databaseUser);
  return true;
}
