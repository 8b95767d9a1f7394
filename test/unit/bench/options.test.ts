/** The bench's command line, and which seats a case gets from it. */
import { describe, expect, test } from "vitest";
import { poolersOfCase, seatsOfCase } from "../../../bench/load-part.ts";
import { parseOptions, Part } from "../../../bench/options.ts";
import { parsePgbouncerVersion } from "../../../bench/requirements.ts";

describe("parseOptions", () => {
  test("measures everything by default", () => {
    const { options, complaints } = parseOptions([], {});
    expect(complaints).toEqual([]);
    expect(options.parts).toEqual(Object.values(Part));
    expect(options.cases).toContainEqual({ clients: 500, poolSize: 20 });
    expect(options.rounds).toBe(9);
    expect(options.idleRounds).toBe(3);
    expect(options.pgbouncerPath).toBeNull();
  });

  test("reads lists and numbers, with a space or an equals sign", () => {
    const { options, complaints } = parseOptions(
      ["--cases", "64/4, 500/20", "--seats=bun,direct", "--quick", "--unix"],
      {},
    );
    expect(complaints).toEqual([]);
    expect(options.cases).toEqual([
      { clients: 64, poolSize: 4 },
      { clients: 500, poolSize: 20 },
    ]);
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
    [["--cases", "64"], /"64" is not clients\/servers/],
    [["--cases", "64/4,0/4"], /"0\/4"/],
    [["--seconds", "0"], /positive/],
    [["--seconds", "x"], /positive/],
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

  test("direct has no pool, and may have clients of its own", () => {
    expect(seatsOfCase(options, 4, 32)).toEqual([
      { seat: "direct", poolSize: null, clients: 32 },
      { seat: "pgbouncer", poolSize: 4 },
      { seat: "bun", poolSize: 4 },
    ]);
    expect(seatsOfCase(options, 4)[0]).toEqual({ seat: "direct", poolSize: null });
  });

  test("poolersOfCase leaves direct out", () => {
    expect(poolersOfCase(options, 20).map(({ seat }) => seat)).toEqual(["pgbouncer", "bun"]);
  });
});

test("parsePgbouncerVersion", () => {
  expect(parsePgbouncerVersion("PgBouncer 1.18.0")).toEqual([1, 18]);
  expect(parsePgbouncerVersion("PgBouncer 1.25.2 (something)")).toEqual([1, 25]);
  expect(parsePgbouncerVersion("unknown")).toBeNull();
});
