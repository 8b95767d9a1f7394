/**
 * Loading a configuration file: lines in, a `Configuration` or everything that is wrong with it out.
 *
 * PgBouncer stops at the first error; here all are collected, each with file and line, in the words PgBouncer has for
 * it. Nothing is half applied: a file with an error yields no configuration at all. Counterpart: cf_load_file in
 * libusual's cfparser.c.
 */
import type { ConfigProblem } from "./config-problem.ts";
import { invalidValue, problemAt } from "./config-problem.ts";
import type { Configuration } from "./configuration.ts";
import type { DatabaseEntry } from "./database-entry.ts";
import { AUTO_DATABASE, readDatabaseEntry } from "./database-entry.ts";
import type { IniLine, ReadFile } from "./ini.ts";
import { readIni } from "./ini.ts";
import type { PeerEntry } from "./peer-entry.ts";
import { readPeerEntry } from "./peer-entry.ts";
import { parseSettingValue } from "./setting-value.ts";
import { resetSettings, Settings, writeSetting } from "./settings.ts";
import type { SettingName } from "./settings-table.ts";
import { settingRow } from "./settings-table.ts";
import type { UserEntry } from "./user-entry.ts";
import { readUserEntry } from "./user-entry.ts";

export type LoadResult =
  | { readonly ok: true; readonly configuration: Configuration; readonly warnings: readonly ConfigProblem[] }
  | { readonly ok: false; readonly errors: readonly ConfigProblem[]; readonly warnings: readonly ConfigProblem[] };

/**
 * Reads the file at `path` and all it includes. `readFile` returns a file's text or throws the system's error. Never
 * throws itself. `conffile` is `path` unless the file says otherwise.
 */
export function loadConfiguration(path: string, readFile: ReadFile): LoadResult {
  const { lines, problems } = readIni(path, readFile);
  const loader = new Loader(problems);
  loader.settings.conffile = path;
  for (const line of lines) loader.take(line);
  return loader.finish(path);
}

const SECTIONS: ReadonlySet<string> = new Set(["pgbouncer", "databases", "users", "peers"]);

class Loader {
  readonly settings = new Settings();
  readonly problems: ConfigProblem[];
  readonly warnings: ConfigProblem[] = [];
  readonly #named = new Set<SettingName>();
  readonly #databases = new Map<string, DatabaseEntry>();
  readonly #users = new Map<string, UserEntry>();
  readonly #peers = new Map<number, PeerEntry>();
  #mainSectionSeen = false;
  /** Null before the first section; unknown sections are reported once and their keys passed over. */
  #section: string | null = null;

  constructor(problems: ConfigProblem[]) {
    this.problems = problems;
  }

  take(line: IniLine): void {
    if (line.kind === "section") return this.#enter(line.name, line);
    switch (this.#section) {
      case null:
        this.problems.push(problemAt(line, `value without section: ${line.key}`));
        return;
      case "pgbouncer":
        return this.#set(line);
      case "databases":
        return this.#add(this.#databases, line.key, readDatabaseEntry(line.key, line.value, line, this), line);
      case "users":
        return this.#add(this.#users, line.key, readUserEntry(line.key, line.value, line, this), line);
      case "peers": {
        const peer = readPeerEntry(line.key, line.value, line, this);
        return this.#add(this.#peers, peer?.id ?? 0, peer, line);
      }
    }
  }

  finish(path: string): LoadResult {
    if (!this.#mainSectionSeen && this.problems.length === 0) {
      this.problems.push({ file: path, line: 0, message: `main section missing from config file (${path})` });
    }
    if (this.problems.length > 0) return { ok: false, errors: this.problems, warnings: this.warnings };
    const databases = new Map(this.#databases);
    const autoDatabase = databases.get(AUTO_DATABASE) ?? null;
    databases.delete(AUTO_DATABASE);
    const configuration: Configuration = {
      settings: this.settings,
      named: this.#named,
      databases,
      autoDatabase,
      users: this.#users,
      peers: this.#peers,
    };
    return { ok: true, configuration, warnings: this.warnings };
  }

  #enter(section: string, line: IniLine): void {
    this.#section = section;
    if (!SECTIONS.has(section)) {
      const { file, line: number } = line;
      const message = `invalid section "${section}" in configuration (${file}:${number}): unknown section`;
      this.problems.push({ file, line: number, message });
    } else if (section === "pgbouncer") {
      // Each such header puts the defaults back, a second one in the same file too.
      resetSettings(this.settings);
      for (const name of this.#named) if (settingRow(name)?.default !== null) this.#named.delete(name);
      this.#mainSectionSeen = true;
    }
  }

  #set(line: IniLine & { kind: "key" }): void {
    const row = settingRow(line.key);
    if (row === undefined) {
      this.problems.push(problemAt(line, `unknown parameter: pgbouncer/${line.key}`));
      return;
    }
    const parsed = parseSettingValue(row, line.value);
    if (!parsed.ok) {
      this.problems.push(invalidValue(line, row.name, line.value, parsed.reason));
      return;
    }
    writeSetting(this.settings, row, parsed.value);
    this.#named.add(row.name);
  }

  #add<K, E>(entries: Map<K, E>, key: K, entry: E | null, line: IniLine & { kind: "key" }): void {
    if (entry === null) return;
    if (entries.has(key)) {
      this.warnings.push(problemAt(line, `"${line.key}" stands twice in [${this.#section}], the last one counts`));
    }
    entries.set(key, entry);
  }
}
