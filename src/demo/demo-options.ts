/** The demo's command line: what a person may choose, in one table from which the help is printed too. */

export interface DemoOptions {
  readonly clients: number;
  readonly poolSize: number;
  /** The port that is tried first. */
  readonly port: number;
  readonly runtime: "node" | "bun";
  /** Ends by itself after this many seconds; null: when told to. */
  readonly seconds: number | null;
  /** The clients' mean pause between two transactions; null: it rises and falls. */
  readonly thinkMs: number | null;
  readonly plain: boolean;
  readonly showConfig: boolean;
}

export type DemoCommandLine =
  | { readonly kind: "run"; readonly options: DemoOptions }
  | { readonly kind: "help"; readonly text: string }
  | { readonly kind: "wrong"; readonly message: string };

interface Flag {
  readonly name: string;
  /** How the value is called in the help; absent: the option has none. */
  readonly value?: string;
  readonly doc: string;
}

const flags: readonly Flag[] = [
  { name: "clients", value: "N", doc: "clients of the built-in workload (default 200)" },
  { name: "pool-size", value: "N", doc: "server connections they may use together (default 8)" },
  { name: "port", value: "N", doc: "the pooler's port (default 6432; another one when it is taken)" },
  { name: "runtime", value: "R", doc: "node or bun, for the pooler (default: PGCARPOOL_RUNTIME, else node)" },
  { name: "seconds", value: "N", doc: "end after N seconds with a summary" },
  { name: "think", value: "MS", doc: "each client's mean pause between transactions; 0: none (default: it varies)" },
  { name: "plain", doc: "one line a second instead of a screen; so it is without a terminal" },
  { name: "show-config", doc: "print the configuration that the pooler is given" },
  { name: "help", doc: "print this" },
];

export const clientsMax = 10_000;
export const poolSizeMax = 100;

/** `environment` gives PGCARPOOL_RUNTIME; the last of several equal options counts. */
export function parseDemoCommandLine(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): DemoCommandLine {
  const given = new Map<string, string>();
  for (let index = 0; index < args.length; index += 1) {
    const [name, attached] = splitOption(args[index]!);
    const flag = flags.find((candidate) => candidate.name === name);
    if (flag === undefined) return wrong(`there is no option ${args[index]}`);
    if (flag.value === undefined) {
      if (attached !== null) return wrong(`--${flag.name} takes no value`);
      given.set(flag.name, "");
      continue;
    }
    if (attached === null) index += 1;
    const value = attached ?? args[index];
    if (value === undefined) return wrong(`--${flag.name} needs a value`);
    given.set(flag.name, value);
  }
  if (given.has("help")) return { kind: "help", text: helpText() };
  return readOptions(given, environment["PGCARPOOL_RUNTIME"]);
}

function readOptions(given: ReadonlyMap<string, string>, runtimeOutside: string | undefined): DemoCommandLine {
  const problems: string[] = [];
  const number = (name: string, low: number, high: number, whole: boolean): number | null => {
    const text = given.get(name);
    if (text === undefined) return null;
    const value = Number(text);
    const fits = text.trim() !== "" && value >= low && value <= high && (!whole || Number.isInteger(value));
    if (fits) return value;
    problems.push(`--${name} must be a ${whole ? "whole " : ""}number from ${low} to ${high}, not '${text}'`);
    return null;
  };
  const runtime = given.get("runtime") ?? (runtimeOutside || "node");
  if (runtime !== "node" && runtime !== "bun") problems.push(`the runtime must be node or bun, not '${runtime}'`);
  const options: DemoOptions = {
    clients: number("clients", 1, clientsMax, true) ?? 200,
    poolSize: number("pool-size", 1, poolSizeMax, true) ?? 8,
    port: number("port", 1, 65_535, true) ?? 6432,
    runtime: runtime === "bun" ? "bun" : "node",
    seconds: number("seconds", 0.1, 1_000_000, false),
    thinkMs: number("think", 0, 60_000, false),
    plain: given.has("plain"),
    showConfig: given.has("show-config"),
  };
  return problems.length > 0 ? wrong(problems.join("\n")) : { kind: "run", options };
}

function splitOption(arg: string): [name: string | null, attached: string | null] {
  const found = /^--([a-z-]+)(?:=(.*))?$/s.exec(arg);
  if (found !== null) return [found[1]!, found[2] ?? null];
  return [arg === "-h" ? "help" : null, null];
}

function wrong(message: string): DemoCommandLine {
  return { kind: "wrong", message: `${message}\nnpm run demo -- --help lists the options` };
}

function helpText(): string {
  const lines = flags.map(({ name, value, doc }) => {
    const left = `--${name}${value === undefined ? "" : ` ${value}`}`;
    return `  ${left.padEnd(16)}${doc}`;
  });
  return [
    "npm run demo -- [options]",
    "",
    "Starts a PostgreSQL of its own and pgcarpool in front of it, lets some hundred clients work on a handful of",
    "server connections, and shows what that looks like. Everything is gone when it ends.",
    "",
    ...lines,
  ].join("\n");
}
