/**
 * The command line, as PgBouncer's: `pgcarpool [-dqRv] [-u USER] CONFIG_FILE`.
 */
export type CommandLine =
  | { readonly kind: "help" }
  | { readonly kind: "version" }
  | { readonly kind: "wrong"; readonly message: string }
  | {
      readonly kind: "run";
      readonly configFile: string;
      readonly daemon: boolean;
      readonly quiet: boolean;
      readonly reboot: boolean;
      /** Counts: each -v is one more. */
      readonly verbose: number;
      readonly user: string | null;
    };

const LONG: Readonly<Record<string, string>> = {
  "--daemon": "-d",
  "--quiet": "-q",
  "--reboot": "-R",
  "--verbose": "-v",
  "--version": "-V",
  "--help": "-h",
  "--user": "-u",
};

/** `args`: without the program. `program`: how it was called, for messages. */
export function parseCommandLine(args: readonly string[], program: string): CommandLine {
  const hint = `Try "${program} --help" for more information.`;
  const wrong = (message: string): CommandLine => ({ kind: "wrong", message: `${message}\n${hint}` });
  const files: string[] = [];
  let [daemon, quiet, reboot, verbose, user] = [false, false, false, 0, null as string | null];
  const rest = [...args];
  for (let arg = rest.shift(); arg !== undefined; arg = rest.shift()) {
    if (arg === "--") {
      files.push(...rest);
      break;
    }
    if (!arg.startsWith("-") || arg === "-") {
      files.push(arg);
      continue;
    }
    if (arg.startsWith("--")) {
      const [name, value] = arg.split("=", 2) as [string, string | undefined];
      const short = LONG[name];
      if (short === undefined) return wrong(`${program}: unrecognized option '${name}'`);
      if (value !== undefined && short !== "-u") return wrong(`${program}: option '${name}' doesn't allow an argument`);
      rest.unshift(short, ...(value === undefined ? [] : [value]));
      continue;
    }
    for (let i = 1; i < arg.length; i++) {
      switch (arg[i]) {
        case "d":
          daemon = true;
          break;
        case "q":
          quiet = true;
          break;
        case "R":
          reboot = true;
          break;
        case "v":
          verbose += 1;
          break;
        case "V":
          return { kind: "version" };
        case "h":
          return { kind: "help" };
        case "u": {
          const attached = arg.slice(i + 1);
          const value = attached === "" ? rest.shift() : attached;
          if (value === undefined) return wrong(`${program}: option requires an argument -- 'u'`);
          user = value;
          i = arg.length;
          break;
        }
        default:
          return wrong(`${program}: invalid option -- '${arg[i]}'`);
      }
    }
  }
  const configFile = files[0];
  if (configFile === undefined || files.length > 1) return wrong(`${program}: no configuration file specified`);
  return { kind: "run", configFile, daemon, quiet, reboot, verbose, user };
}

export function usage(program: string): string {
  return `${program} is a connection pooler for PostgreSQL.

Usage:
  ${program} [OPTION]... CONFIG_FILE

Options:
  -d, --daemon         run in background (as a daemon)
  -q, --quiet          run quietly
  -R, --reboot         do an online reboot
  -u, --user=USERNAME  assume identity of USERNAME
  -v, --verbose        increase verbosity
  -V, --version        show version, then exit
  -h, --help           show this help, then exit
`;
}
