/**
 * What differs between two runs of one and the same pooler, and is therefore replaced before two poolers are compared:
 * ports, process ids, folders, addresses in memory, times, numbers that count bytes of buffers.
 */

/** A value of this run and the word that stands for it. */
export type Replacement = readonly [value: string, word: string];

/** Console columns whose numbers belong to one run. */
const volatileColumns: ReadonlySet<string> = new Set(
  [
    "connect_time request_time wait wait_us ptr link remote_pid id local_port fd",
    "recv_pos pkt_pos pkt_remain send_pos send_remain pkt_avail send_avail maxwait_us",
    "size used free memtotal cancel ttl",
    "xact_time query_time wait_time total_xact_time total_query_time total_wait_time",
  ].flatMap((names) => names.split(" ")),
);

export class TranscriptWords {
  readonly #replacements: readonly Replacement[];

  /** Longer values are replaced first. */
  constructor(replacements: readonly Replacement[]) {
    this.#replacements = replacements.toSorted(([a], [b]) => b.length - a.length);
  }

  text(line: string): string {
    let result = line;
    for (const [value, word] of this.#replacements) {
      result = /^\d+$/.test(value)
        ? result.replace(new RegExp(`(?<![\\w]|\\d\\.)${value}(?!\\w)`, "g"), word)
        : result.replaceAll(value, word);
    }
    return result
      .replaceAll(/unix\(\d+\)/g, "unix(PID)")
      .replaceAll(/((?:\d+\.\d+\.\d+\.\d+|\]):)\d+/g, "$1EPHEMERAL")
      .replaceAll(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)? \S+/g, "TIME")
      .replaceAll(/0x[0-9a-f]+/g, "POINTER");
  }

  /** A cell of a result of the console. An empty value and NULL are never volatile. */
  consoleCell(column: string, value: string | null, row: readonly (string | null)[], areAverages = false): string {
    if (value === null) return `${column}=NULL`;
    const isVolatile =
      (areAverages && column !== "database") ||
      volatileColumns.has(column) ||
      column.startsWith("avg_") ||
      isVolatileRow(column, row);
    if (isVolatile && value !== "") return `${column}=*`;
    const known = this.text(value);
    if (column === "port" && known === value && /^\d+$/.test(value)) return "port=*";
    return `${column}=${known}`;
  }

  /**
   * The lines of a log that two poolers must have in common: first the pooler's own, then those of clients, their goodbyes
   * sorted, then those of servers, pool by pool, since connections end independently of each other and pools fill themselves at any time.
   */
  log(text: string): string[] {
    const lines = text
      .split("\n")
      .map((line) => line.replace(/^\S+ \S+ \S+ \[\d+\] /, ""))
      .filter((line) => line !== "" && !/^(?:LOG stats: |LOG kernel file|DEBUG|NOISE)|pgbouncer\/spy@/.test(line))
      .map((line) => this.text(line.replace(/\b([CS])-0x[0-9a-f]+: /, "$1 ").replace(/age=\d+s/, "age")));
    const goodbye = / closing because: client close request /;
    const kind = (line: string): number =>
      /^\w+ C /.test(line) ? (goodbye.test(line) ? 2 : 1) : /^\w+ S /.test(line) ? 3 : 0;
    return [0, 1, 2, 3].flatMap((wanted) => {
      const found = lines.filter((line) => kind(line) === wanted);
      if (wanted === 3) return found.sort((one, other) => poolOf(one).localeCompare(poolOf(other)));
      return wanted === 2 ? found.sort() : found;
    });
  }
}

/** "database/user" of a line about a server. */
function poolOf(line: string): string {
  return /^\w+ S ([^@]*)@/.exec(line)?.[1] ?? "";
}

/** Rows of name and value: counts of memory and sockets in stock, sums over the console's own traffic, averages. */
function isVolatileRow(column: string, row: readonly (string | null)[]): boolean {
  const name = row[0] ?? "";
  if (column === "items") return name.startsWith("free_");
  if (column === "value") return /^(?:total|avg)_/.test(name);
  return name === "pgbouncer" && /_count$|received$|sent$/.test(column);
}
