/**
 * What the configuration says about how clients prove who they are, beside secrets: the rules of auth_hba_file with the maps
 * of auth_ident_file, directories, the operating system.
 *
 * The files are read at start and at each reload, and only where auth_type says that they count. Counterpart: PgBouncer's
 * `load_hba`.
 */
import { parseHba } from "../auth/hba-file.ts";
import { HbaRules } from "../auth/hba-rules.ts";
import { parseIdentMaps } from "../auth/ident-map.ts";
import type { IdentMap } from "../auth/ident-map.ts";
import { LdapVerifiers } from "../auth/ldap-verifiers.ts";
import { PamVerifier } from "../auth/pam-verifier.ts";
import type { PasswordVerifier } from "../auth/password-verifier.ts";
import { AuthType } from "../config/setting-words.ts";
import type { Settings } from "../config/settings.ts";
import type { Logger } from "../log/logger.ts";
import type { Clock } from "../net/world.ts";
import { systemErrorText } from "../log/system-error.ts";
import { decodeText } from "../protocol/byte-text.ts";
import type { LoginRules } from "../session/engine.ts";

export class ConfiguredLogins implements LoginRules {
  /** Before the first `reload`, and after one that could not read the file, nobody comes in by it. */
  hba = new HbaRules([]);
  readonly #settings: Settings;
  readonly #readFile: (path: string) => Uint8Array;
  readonly #log: Logger;
  readonly #directories = new LdapVerifiers();
  readonly #pam: PamVerifier;

  constructor(settings: Settings, readFile: (path: string) => Uint8Array, log: Logger, clock: Clock) {
    this.#pam = new PamVerifier(clock);
    this.#settings = settings;
    this.#readFile = readFile;
    this.#log = log;
  }

  /** Reads the files again. What is wrong with them is logged, and the rest of them counts. */
  reload(): void {
    this.#directories.forget();
    const { authType, authHbaFile } = this.#settings;
    if (authType !== AuthType.hba) return;
    const identMaps = this.#identMaps();
    const text = this.#read(authHbaFile, "hba config");
    if (text === null) {
      this.hba = new HbaRules([]);
      return;
    }
    const { rules, problems } = parseHba(text, { fileName: authHbaFile, readFile: this.#readFile, identMaps });
    for (const problem of problems) this.#log.warning(problem);
    this.hba = rules;
  }

  #identMaps(): ReadonlyMap<string, IdentMap> {
    const path = this.#settings.authIdentFile;
    const text = path === null || path === "" ? "" : this.#read(path, "ident config");
    if (text === null) return new Map();
    const { maps, problems } = parseIdentMaps(text);
    for (const problem of problems) this.#log.warning(problem);
    return maps;
  }

  #read(path: string, what: string): string | null {
    try {
      const bytes = this.#readFile(path);
      return decodeText(bytes, 0, bytes.length);
    } catch (error) {
      this.#log.error(`could not open ${what} file ${path}: ${systemErrorText(error)}`);
      return null;
    }
  }

  ldap(options: string): PasswordVerifier {
    return this.#directories.of(options);
  }

  pam(): PasswordVerifier {
    return this.#pam;
  }

  /** The pooler ends. */
  close(): void {
    this.#pam.close();
  }
}
