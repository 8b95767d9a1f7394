/** Writes a PgBouncer configuration file from a value: what a test says, and nothing hidden. */

export interface IniSections {
  readonly databases?: Readonly<Record<string, string>>;
  readonly users?: Readonly<Record<string, string>>;
  readonly peers?: Readonly<Record<string, string>>;
  /** [pgbouncer] */
  readonly settings?: Readonly<Record<string, string | number>>;
}

export function iniText(sections: IniSections): string {
  const parts: string[] = [];
  const section = (name: string, entries: Readonly<Record<string, string | number>> | undefined): void => {
    if (entries === undefined) return;
    parts.push(`[${name}]`);
    for (const [key, value] of Object.entries(entries)) parts.push(`${key} = ${value}`);
    parts.push("");
  };
  section("databases", sections.databases);
  section("users", sections.users);
  section("peers", sections.peers);
  section("pgbouncer", sections.settings);
  return parts.join("\n");
}

/** Text of userlist.txt. */
export function userlistText(users: Readonly<Record<string, string>>): string {
  const quote = (text: string): string => `"${text.replaceAll('"', '""')}"`;
  return Object.entries(users)
    .map(([name, secret]) => `${quote(name)} ${quote(secret)}\n`)
    .join("");
}
