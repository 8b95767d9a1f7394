/** The command line, as getopt_long reads PgBouncer's. */
import { describe, expect, test } from "vitest";
import { parseCommandLine, usage } from "../../../src/cli/command-line.ts";

const parse = (...args: string[]) => parseCommandLine(args, "pgbouncer");
const plain = { kind: "run", configFile: "a.ini", daemon: false, quiet: false, reboot: false, verbose: 0, user: null };

test.each([
  [["a.ini"], {}],
  [["-d", "a.ini"], { daemon: true }],
  [["a.ini", "-d"], { daemon: true }],
  [["-dqRv", "a.ini"], { daemon: true, quiet: true, reboot: true, verbose: 1 }],
  [["--daemon", "--quiet", "--reboot", "--verbose", "a.ini"], { daemon: true, quiet: true, reboot: true, verbose: 1 }],
  [["-vv", "a.ini", "-v"], { verbose: 3 }],
  [["-u", "nobody", "a.ini"], { user: "nobody" }],
  [["-unobody", "a.ini"], { user: "nobody" }],
  [["-qunobody", "a.ini"], { quiet: true, user: "nobody" }],
  [["--user", "nobody", "a.ini"], { user: "nobody" }],
  [["--user=nobody", "a.ini"], { user: "nobody" }],
  [["--", "a.ini"], {}],
  [["--", "-d"], { configFile: "-d" }],
  [["-"], { configFile: "-" }],
])("%j", (args, more) => {
  expect(parse(...args)).toEqual({ ...plain, ...more });
});

test.each([["-V"], ["--version"], ["-qV"], ["-V", "-x"]])("%s: the version", (...args) => {
  expect(parse(...args)).toEqual({ kind: "version" });
});

test.each([["-h"], ["--help"], ["a.ini", "-h"]])("%s: help", (...args) => {
  expect(parse(...args)).toEqual({ kind: "help" });
});

describe("wrong, with a hint", () => {
  const hint = 'Try "pgbouncer --help" for more information.';
  test.each([
    [[], "pgbouncer: no configuration file specified"],
    [["a.ini", "b.ini"], "pgbouncer: no configuration file specified"],
    [["-x", "a.ini"], "pgbouncer: invalid option -- 'x'"],
    [["-dx", "a.ini"], "pgbouncer: invalid option -- 'x'"],
    [["--nonsense", "a.ini"], "pgbouncer: unrecognized option '--nonsense'"],
    [["--daemon=1", "a.ini"], "pgbouncer: option '--daemon' doesn't allow an argument"],
    [["a.ini", "-u"], "pgbouncer: option requires an argument -- 'u'"],
  ])("%j", (args, message) => {
    expect(parse(...args)).toEqual({ kind: "wrong", message: `${message}\n${hint}` });
  });
});

test("the usage names every option", () => {
  const text = usage("pgbouncer");
  expect(text).toMatch(
    /^pgbouncer is a connection pooler for PostgreSQL\.\n\nUsage:\n {2}pgbouncer \[OPTION\]\.\.\. CONFIG_FILE\n/,
  );
  for (const option of [
    "-d, --daemon",
    "-q, --quiet",
    "-R, --reboot",
    "-u, --user=",
    "-v, --verbose",
    "-V, --version",
    "-h, --help",
  ])
    expect(text).toContain(`  ${option}`);
});
