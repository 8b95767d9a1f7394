/** The extended protocol on the console, as drivers speak it. */
import { describe, expect, test } from "vitest";
import { ConsoleHarness } from "./console-harness.ts";
import {
  bind,
  closeStatement,
  columns,
  describePortal,
  describeStatement,
  errorFields,
  execute,
  flush,
  int16,
  int32,
  message,
  parse,
  query,
  sync,
} from "../../support/wire-client.ts";

const connect = () => new ConsoleHarness().connect();

/** A Bind without parameters that asks for result formats. */
const bindFormats = (...formats: number[]): Buffer =>
  message("B", "", "", int16(0), int16(0), int16(formats.length), ...formats.map(int16));

describe("a statement's road", () => {
  test("unnamed: Parse, Bind, Describe, Execute, Sync", () => {
    const result = connect().exchange(parse("", "SHOW STATE"), bind("", ""), describePortal(""), execute(""), sync());
    expect(result.types).toBe("12TDDDCZ");
    expect(result.rows).toEqual([
      ["active", "yes"],
      ["paused", "no"],
      ["suspended", "no"],
    ]);
    expect(result.tag).toBe("SHOW");
  });

  test("named: prepared once, described, run twice, closed", () => {
    const client = connect();
    expect(client.exchange(parse("s", "show version"), describeStatement("s"), sync()).types).toBe("1tTZ");
    for (let round = 0; round < 2; round += 1) {
      expect(client.exchange(bind("p", "s"), execute("p"), sync()).types).toBe("2DCZ");
    }
    expect(client.exchange(closeStatement("s"), sync()).types).toBe("3Z");
    expect(client.exchange(bind("", "s"), sync()).error).toMatchObject({ C: "26000" });
  });

  test("a Describe of a statement says that there are no parameters", () => {
    const client = connect();
    client.take();
    client.send(parse("", "SHOW POOLS"), describeStatement(""), sync());
    const answer = client.take();
    expect(answer.find(({ type }) => type === "t")?.body).toEqual(Buffer.from([0, 0]));
  });

  test("a command without rows is described as such, and runs at Execute only", () => {
    const harness = new ConsoleHarness();
    const client = harness.connect();
    const before = client.exchange(parse("", "PAUSE"), bind("", ""), describePortal(""), flush());
    expect(before.types).toBe("12n");
    expect(harness.pooler.operations.state).toBe("active");
    expect(client.exchange(execute(""), sync())).toMatchObject({ types: "CZ", tag: "PAUSE" });
    expect(harness.pooler.operations.state).toBe("paused");
  });

  test("notices come with Execute", () => {
    const result = connect().exchange(parse("", "SET timezone = 'UTC'"), bind("", ""), execute(""), sync());
    expect(result.types).toBe("12NCZ");
  });

  test("a limit of rows suspends the portal, and Execute goes on", () => {
    const client = connect();
    const first = client.exchange(parse("", "SHOW STATE"), bind("", ""), execute("", 2), flush());
    expect(first.types).toBe("12DDs");
    expect(client.exchange(execute("", 2), sync()).types).toBe("DCZ");
  });

  test("several units in one packet are answered in order", () => {
    const unit = [parse("", "SHOW VERSION"), bind("", ""), execute(""), sync()];
    expect(connect().exchange(...unit, ...unit, query("SHOW VERSION")).types).toBe("12DCZ12DCZTDCZ");
  });

  test("a pipeline up to its Sync counts as one query", () => {
    const harness = new ConsoleHarness();
    const client = harness.connect();
    client.exchange(parse("", "SHOW VERSION"), bind("", ""), execute(""), bind("", ""), execute(""), sync());
    expect(harness.pooler.residents.consoleCounters).toMatchObject({ queryCount: 1, xactCount: 1 });
    client.exchange(parse("", "SHOW VERSION"), sync());
    expect(harness.pooler.residents.consoleCounters).toMatchObject({ queryCount: 2, xactCount: 2 });
  });
});

describe("errors", () => {
  test.each([
    ["an unknown command, at Parse", [parse("", "nonsense here"), bind("", ""), execute("")], "08P01"],
    ["a statement that is not there", [bind("", "gone")], "26000"],
    ["an unnamed statement that is not there", [describeStatement("")], "26000"],
    ["a portal that is not there", [execute("gone")], "34000"],
    ["a portal to describe", [describePortal("gone")], "34000"],
    ["a name twice", [parse("s", "SHOW STATE"), parse("s", "SHOW STATE")], "42P05"],
    ["a portal twice", [parse("", "SHOW STATE"), bind("p", ""), bind("p", "")], "42P03"],
    ["parameters for none", [parse("", "SHOW STATE"), bind("", "", ["1"])], "08P01"],
    ["too few formats", [parse("", "SHOW LISTS"), bindFormats(0, 0, 0)], "08P01"],
    ["an unknown format", [parse("", "SHOW LISTS"), bindFormats(2)], "22023"],
    ["a command that fails", [parse("", "RESUME"), bind("", ""), execute("")], "08P01"],
    ["a command run twice", [parse("", "ENABLE shop"), bind("", ""), execute(""), execute("")], "55000"],
  ])("%s", (_what, messages, code) => {
    const client = connect();
    const result = client.exchange(...messages, parse("", "SHOW STATE"), query("PAUSE"), sync());
    expect(result.error).toMatchObject({ S: "ERROR", C: code });
    expect(result.types).toMatch(/^[^E]*EZ$/);
    // Skipped up to the Sync, and usable behind it.
    expect(client.run("SHOW STATE").rows[0]).toEqual(["active", "yes"]);
  });

  test("a malformed message is a bad packet and the end", () => {
    const client = connect();
    const result = client.exchange(message("B", "", ""));
    expect(result).toMatchObject({ types: "E", error: { S: "FATAL", M: "bad packet" } });
    expect(client.ended).toBe(true);
  });

  test("the number of statements is bounded", () => {
    const client = connect();
    client.take();
    client.send(...Array.from({ length: 1001 }, (_, n) => parse(`s${n}`, "SHOW STATE")), sync());
    const answer = client.take();
    expect(answer.filter(({ type }) => type === "1")).toHaveLength(1000);
    const refused = answer.find(({ type }) => type === "E");
    expect(errorFields(refused!.body)).toMatchObject({ C: "53400", M: "too many prepared statements" });
  });

  test("portals end with the Sync, the unnamed statement with a Query", () => {
    const client = connect();
    client.exchange(parse("", "SHOW STATE"), bind("p", ""), sync());
    expect(client.exchange(execute("p"), sync()).error).toMatchObject({ C: "34000" });
    client.run("SHOW STATE");
    expect(client.exchange(bind("", ""), sync()).error).toMatchObject({ C: "26000" });
  });
});

describe("binary results", () => {
  const valuesOf = (body: Buffer): (Buffer | null)[] => {
    const values: (Buffer | null)[] = [];
    let at = 2;
    for (let left = body.readInt16BE(0); left > 0; left -= 1) {
      const length = body.readInt32BE(at);
      at += 4;
      values.push(length < 0 ? null : body.subarray(at, at + length));
      at += Math.max(0, length);
    }
    return values;
  };

  test("text and int4, and the formats are described", () => {
    const result = connect().exchange(parse("", "SHOW PEERS"), bindFormats(1), describePortal(""), sync());
    expect(result.columns?.map(({ format }) => format)).toEqual([1, 1, 1, 1]);
    const client = connect();
    client.take();
    client.send(parse("", "SHOW PEERS"), bindFormats(1), execute(""), sync());
    const row = client.take().find(({ type }) => type === "D");
    expect(valuesOf(row!.body)).toEqual([int32(1), Buffer.from("127.0.0.1"), int32(6432), int32(20)]);
  });

  test("formats column by column", () => {
    const client = connect();
    client.take();
    client.send(parse("", "SHOW LISTS"), bindFormats(0, 1), execute(""), sync());
    const row = client.take().find(({ type }) => type === "D");
    expect(valuesOf(row!.body)).toEqual([Buffer.from("databases"), int32(4)]);
  });

  test("numeric", () => {
    const harness = new ConsoleHarness();
    const client = harness.connect();
    const numbers = [0, 1, 9999, 10_000, 100_000_000, 123_456_789_012];
    const encoded = numbers.map((number) => {
      harness.pooler.residents.consoleCounters.waitTimeUs = number;
      client.take();
      client.send(parse("", "SHOW STATS_TOTALS"), bindFormats(1), execute(""), sync());
      const row = client.take().find(({ type }) => type === "D");
      const value = valuesOf(row!.body)[8]!;
      return Array.from({ length: value.length / 2 }, (_, index) => value.readUInt16BE(index * 2));
    });
    // count, weight, sign, scale, digits to the base 10,000: as PostgreSQL's numeric_send writes them.
    expect(encoded).toEqual([
      [0, 0, 0, 0],
      [1, 0, 0, 0, 1],
      [1, 0, 0, 0, 9999],
      [1, 1, 0, 0, 1],
      [1, 2, 0, 0, 1],
      [3, 2, 0, 0, 1234, 5678, 9012],
    ]);
  });

  test("text stays the default", () => {
    const client = connect();
    client.take();
    client.send(parse("", "SHOW LISTS"), bindFormats(), execute(""), sync());
    expect(columns(client.take().find(({ type }) => type === "D")!.body)).toEqual(["databases", "4"]);
  });
});
