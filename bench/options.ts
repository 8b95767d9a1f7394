/**
 * The command line of the bench: what is measured, how long, against which programs.
 *
 * Pure: arguments and environment in, options or a list of complaints out. The defaults measure every number that was
 * promised, each over enough rounds; `--quick` is a short look.
 */

import { resolve } from "node:path";

export const SeatName = { direct: "direct", pgbouncer: "pgbouncer", node: "node", bun: "bun" } as const;
export type SeatName = (typeof SeatName)[keyof typeof SeatName];

/** In the order in which they run. */
export const Part = {
  load: "load",
  calls: "calls",
  latency: "latency",
  tail: "tail",
  tls: "tls",
  spread: "spread",
  few: "few",
  mixed: "mixed",
  alone: "alone",
  begin: "begin",
  anonymous: "anonymous",
  connect: "connect",
  idle: "idle",
  copy: "copy",
  stopped: "stopped",
} as const;
export type Part = (typeof Part)[keyof typeof Part];

export const Protocol = { simple: "simple", extended: "extended", prepared: "prepared" } as const;
export type Protocol = (typeof Protocol)[keyof typeof Protocol];

/** So many clients on a pool of so many servers. */
export interface CaseSize {
  readonly clients: number;
  readonly poolSize: number;
}

export interface BenchOptions {
  readonly quick: boolean;
  readonly parts: readonly Part[];
  readonly seats: readonly SeatName[];
  readonly protocols: readonly Protocol[];
  /** Of the load part. */
  readonly cases: readonly CaseSize[];
  readonly rounds: number;
  /** Load before each measured window, in whole seconds (pgbench reports once a second). */
  readonly warmUpSeconds: number;
  /** The measured window, in whole seconds. */
  readonly measureSeconds: number;
  readonly idleClients: number;
  readonly idleRounds: number;
  /** How long idle clients stand before their memory is read a second time. */
  readonly idleSettleSeconds: number;
  readonly copyMegabytes: number;
  readonly copyRounds: number;
  readonly stopSeconds: number;
  /** Unix sockets on both sides of the poolers in place of TCP on loopback. */
  readonly unixSockets: boolean;
  /** Null: the one that Debian installs. */
  readonly pgbouncerPath: string | null;
  /** Null: `bin/pgcarpool` of this working tree. */
  readonly pgcarpoolPath: string | null;
  /** Folder of `postgres`, `initdb` and `pgbench`. Null: the newest of Debian's. */
  readonly postgresFolder: string | null;
  readonly save: boolean;
  readonly help: boolean;
}

export interface ParsedOptions {
  readonly options: BenchOptions;
  /** Empty when the options can be used. */
  readonly complaints: readonly string[];
}

export const USAGE = `usage: npm run bench -- [options]

  --quick             a short look at 64 clients on 20 servers, and at idle clients, COPY and logins (about 3 minutes)
  --only PART,…       parts to run (all): ${Object.values(Part).join(", ")}
  --seats NAME,…      what to compare (all): ${Object.values(SeatName).join(", ")}
  --protocols NAME,…  pgbench protocols: ${Object.values(Protocol).join(", ")} (all)
  --cases N/M,…       clients/servers of the load part (16/20,64/4,64/20,500/20)
  --rounds N          interleaved rounds of what pgbench measures (9); idle clients and COPY have at most 3
  --seconds N         measured window of each load run (2)
  --idle-clients N    clients of the idle and spread parts (5000)
  --copy-mb N         size of the COPY (1000)
  --stop-seconds N    how long the reader of the stopped part stands (10)
  --unix              Unix sockets instead of TCP on loopback
  --pgbouncer PATH    PgBouncer to compare with (environment: PGBOUNCER; else Debian's)
  --pgcarpool PATH    program in the seats node and bun (bin/pgcarpool)
  --postgres FOLDER   folder with postgres, initdb and pgbench (Debian's newest)
  --save              keep the result in bench/results
  --help
`;

/** What `--quick` runs unless `--only` says otherwise: the parts that compare settings need their rounds. */
const QUICK_PARTS: readonly Part[] = [Part.load, Part.latency, Part.connect, Part.idle, Part.copy, Part.stopped];
const LOAD_CASES = "16/20,64/4,64/20,500/20";
/** A round of idle clients or of COPY takes a minute; what it measures hardly differs between rounds. */
const LONG_ROUNDS_MAX = 3;
const QUICK_CASES = "64/20";

/** Reads the arguments behind the script's name. Every complaint is one sentence; nothing is guessed around them. */
export function parseOptions(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): ParsedOptions {
  const complaints: string[] = [];
  const given = new Map<string, string>();
  const flags = new Set<string>();
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] as string;
    const [name, inline] = splitAtEquals(arg);
    if (FLAGS.has(name)) {
      if (inline !== null) complaints.push(`${name} takes no value`);
      flags.add(name);
    } else if (VALUED.has(name)) {
      const value = inline ?? args[++i];
      if (value === undefined || value === "") complaints.push(`${name} needs a value`);
      else given.set(name, value);
    } else {
      complaints.push(`unknown option ${arg}`);
    }
  }

  const quick = flags.has("--quick");
  const names = <T extends string>(option: string, allowed: readonly T[], otherwise: readonly T[]): readonly T[] => {
    const text = given.get(option);
    if (text === undefined) return otherwise;
    const chosen = text.split(",").map((word) => word.trim());
    for (const word of chosen) {
      if (!(allowed as readonly string[]).includes(word)) {
        complaints.push(`${option}: ${JSON.stringify(word)} is not one of ${allowed.join(", ")}`);
      }
    }
    return allowed.filter((word) => chosen.includes(word));
  };
  const numbers = (option: string, otherwise: readonly number[]): readonly number[] => {
    const text = given.get(option);
    if (text === undefined) return otherwise;
    const values = text.split(",").map((word) => (/^\s*[1-9]\d{0,5}\s*$/.test(word) ? Number(word) : Number.NaN));
    if (values.some(Number.isNaN))
      complaints.push(`${option}: ${JSON.stringify(text)} is not a list of positive whole numbers`);
    return [...new Set(values)].sort((a, b) => a - b);
  };
  const number = (option: string, otherwise: number): number => {
    const values = numbers(option, [otherwise]);
    if (values.length !== 1) complaints.push(`${option} takes one number`);
    return values[0] ?? otherwise;
  };

  const cases = (option: string, otherwise: string): readonly CaseSize[] => {
    const sizes: CaseSize[] = [];
    for (const word of (given.get(option) ?? otherwise).split(",")) {
      const found = /^\s*([1-9]\d{0,5})\/([1-9]\d{0,2})\s*$/.exec(word);
      if (found === null) complaints.push(`${option}: ${JSON.stringify(word)} is not clients/servers, like 64/4`);
      else sizes.push({ clients: Number(found[1]), poolSize: Number(found[2]) });
    }
    return sizes;
  };

  // npm runs scripts in the project's folder and leaves the caller's here.
  const path = (text: string | undefined): string | null =>
    text === undefined || text === "" ? null : resolve(environment["INIT_CWD"] ?? ".", text);

  const rounds = number("--rounds", quick ? 2 : 9);
  const options: BenchOptions = {
    quick,
    parts: names("--only", Object.values(Part), quick ? QUICK_PARTS : Object.values(Part)),
    seats: names("--seats", Object.values(SeatName), Object.values(SeatName)),
    protocols: names("--protocols", Object.values(Protocol), Object.values(Protocol)),
    cases: cases("--cases", quick ? QUICK_CASES : LOAD_CASES),
    rounds,
    warmUpSeconds: 1,
    measureSeconds: number("--seconds", quick ? 1 : 2),
    idleClients: number("--idle-clients", 5000),
    idleRounds: quick ? 1 : Math.min(rounds, LONG_ROUNDS_MAX),
    idleSettleSeconds: quick ? 2 : 10,
    copyMegabytes: number("--copy-mb", quick ? 200 : 1000),
    copyRounds: quick ? 1 : Math.min(rounds, LONG_ROUNDS_MAX),
    stopSeconds: number("--stop-seconds", quick ? 2 : 10),
    unixSockets: flags.has("--unix"),
    pgbouncerPath: path(given.get("--pgbouncer") ?? environment["PGBOUNCER"]),
    pgcarpoolPath: path(given.get("--pgcarpool")),
    postgresFolder: path(given.get("--postgres")),
    save: flags.has("--save"),
    help: flags.has("--help") || flags.has("-h"),
  };
  return { options, complaints };
}

const FLAGS: ReadonlySet<string> = new Set(["--quick", "--unix", "--save", "--help", "-h"]);
const VALUED: ReadonlySet<string> = new Set([
  "--only",
  "--seats",
  "--protocols",
  "--cases",
  "--rounds",
  "--seconds",
  "--idle-clients",
  "--copy-mb",
  "--stop-seconds",
  "--pgbouncer",
  "--pgcarpool",
  "--postgres",
]);

function splitAtEquals(arg: string): [name: string, value: string | null] {
  const at = arg.indexOf("=");
  return at < 0 || !arg.startsWith("--") ? [arg, null] : [arg.slice(0, at), arg.slice(at + 1)];
}
