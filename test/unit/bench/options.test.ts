/** The bench's command line, and which seats a case gets from it. */
import { describe, expect, test } from "vitest";
import { seatsOfCase } from "../../../bench/load-part.ts";
import { parseOptions } from "../../../bench/options.ts";
import { parsePgbouncerVersion } from "../../../bench/requirements.ts";

describe("parseOptions", () => {
  test("measures everything by default", () => {
    const { options, complaints } = parseOptions([], {});
    expect(complaints).toEqual([]);
    expect(options.parts).toEqual(["load", "idle", "connect", "copy", "stopped"]);
    expect(options.clientCounts).toEqual([1, 16, 64, 500]);
    expect(options.poolSizes).toEqual([4, 20]);
    expect(options.pgbouncerPath).toBeNull();
  });

  test("reads lists and numbers, with a space or an equals sign", () => {
    const { options, complaints } = parseOptions(
      ["--clients", "64,1,64", "--seats=bun,direct", "--quick", "--unix"],
      {},
    );
    expect(complaints).toEqual([]);
    expect(options.clientCounts).toEqual([1, 64]);
    expect(options.seats).toEqual(["direct", "bun"]);
    expect(options.unixSockets).toBe(true);
    expect(options.quick).toBe(true);
  });

  test("an option beats the environment", () => {
    expect(parseOptions([], { PGBOUNCER: "/a" }).options.pgbouncerPath).toBe("/a");
    expect(parseOptions(["--pgbouncer", "/b"], { PGBOUNCER: "/a" }).options.pgbouncerPath).toBe("/b");
    expect(parseOptions(["--pgbouncer=x/y"], { INIT_CWD: "/home" }).options.pgbouncerPath).toBe("/home/x/y");
    expect(parseOptions([], { PGBOUNCER: "" }).options.pgbouncerPath).toBeNull();
  });

  test.each([
    [["--only", "laod"], /"laod" is not one of load/],
    [["--clients", "0"], /positive/],
    [["--clients", "1,x"], /positive/],
    [["--rounds", "1,2"], /one number/],
    [["--rounds"], /needs a value/],
    [["--quick=yes"], /takes no value/],
    [["--fast"], /unknown option --fast/],
    [["extra"], /unknown option extra/],
  ])("complains about %j", (args, expected) => {
    expect(parseOptions(args, {}).complaints.join("\n")).toMatch(expected);
  });
});

describe("seatsOfCase", () => {
  const { options } = parseOptions(["--seats", "direct,pgbouncer,bun"], {});

  test("has direct once and each pooler for each pool size", () => {
    expect(seatsOfCase(options, 64).map(({ seat, poolSize }) => `${seat}/${poolSize}`)).toEqual([
      "direct/null",
      "pgbouncer/4",
      "bun/4",
      "pgbouncer/20",
      "bun/20",
    ]);
  });

  test("one client makes no difference between pool sizes", () => {
    expect(seatsOfCase(options, 1).map(({ poolSize }) => poolSize)).toEqual([null, 20, 20]);
  });
});

test("parsePgbouncerVersion", () => {
  expect(parsePgbouncerVersion("PgBouncer 1.18.0")).toEqual([1, 18]);
  expect(parsePgbouncerVersion("PgBouncer 1.25.2 (something)")).toEqual([1, 25]);
  expect(parsePgbouncerVersion("unknown")).toBeNull();
});
