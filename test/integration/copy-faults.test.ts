/**
 * COPY that goes wrong, by every way it can be asked for: errors in the middle while data is still coming, clients that
 * give up or die. With one server, so that a server that is kept or out of step shows at the next client. And
 * FunctionCall, which has no other place.
 */
import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { EmbeddedPostgres } from "../../src/demo/embedded-postgres.ts";
import { Bouncer } from "../support/bouncer.ts";
import {
  bind,
  columns,
  errorFields,
  execute,
  flush,
  int16,
  int32,
  message,
  parse,
  query,
  sync,
  types,
  WireClient,
} from "../support/wire-client.ts";

let cluster: EmbeddedPostgres;
let bouncer: Bouncer;

beforeAll(async () => {
  cluster = await EmbeddedPostgres.start();
  await cluster.query("create table goods (id int)");
  const target = `host=${cluster.host} port=${cluster.port} dbname=postgres pool_size=1`;
  bouncer = await Bouncer.start({
    databases: {
      transaction: target,
      statement: `${target} pool_mode=statement`,
      session: `${target} pool_mode=session`,
    },
    userlist: { postgres: "" },
    settings: { pool_mode: "transaction", query_wait_timeout: 5 },
  });
});

afterEach(async () => {
  await cluster.query("truncate goods");
});

afterAll(async () => {
  await bouncer?.stop();
  await cluster?.stop();
});

const modes = ["transaction", "statement", "session"];
const login = (database: string): Promise<WireClient> => WireClient.login(bouncer, { user: "postgres", database });
const data = (text: string): Buffer => message("d", Buffer.from(text));
const done = (): Buffer => message("c");
const fail = (): Buffer => message("f", "gave up");

/** The ways to ask for it, with what ends each, and the answers before CopyInResponse. */
const ways = [
  { way: "simple", ask: (text: string) => [query(text)], end: [] as Buffer[], head: "" },
  { way: "extended", ask: (text: string) => [parse("", text), bind("", ""), execute("")], end: [sync()], head: "12" },
  {
    way: "prepared",
    ask: (text: string) => [parse("copy_plan", text), bind("", "copy_plan"), execute("")],
    end: [sync()],
    head: "12",
  },
];
const cases = modes.flatMap((mode) => ways.map(({ way, ask, end, head }) => ({ mode, way, ask, end, head })));

/**
 * Whether the client is in step, and its only server serves others as soon as the client leaves (or at once): the rows
 * both of them see.
 */
async function rowsSeen(client: WireClient, mode: string): Promise<unknown[]> {
  const seen: unknown[] = [];
  const look = async (from: WireClient): Promise<void> => {
    from.send(query("select count(*)::int from goods"));
    const answer = await from.until("Z");
    seen.push(types(answer) === "TDCZ" ? Number(columns(answer[1]!.body)[0]) : types(answer));
  };
  await look(client);
  if (mode === "session") client.end();
  const next = await login(mode);
  await look(next);
  next.end();
  client.end();
  return seen;
}

describe("COPY FROM STDIN", () => {
  test.each(cases)("succeeds ($way, $mode)", async ({ mode, ask, end, head }) => {
    const client = await login(mode);
    client.send(...ask("copy goods from stdin"), data("1\n2\n"), data("3\n"), done(), ...end);
    expect(types(await client.until("Z"))).toBe(`${head}GCZ`);
    expect(await rowsSeen(client, mode)).toEqual([3, 3]);
  });

  test.each(cases)("fails before CopyDone, which comes late ($way, $mode)", async ({ mode, ask, end, head }) => {
    const client = await login(mode);
    client.send(...ask("copy goods from stdin"), flush(), data("1\nnot a number\n"));
    const answer = await client.until("E");
    expect(types(answer)).toBe(`${head}GE`);
    expect(errorFields(answer.at(-1)!.body)).toMatchObject({ C: "22P02" });
    client.send(data("2\n"));
    await sleep(20);
    client.send(data("3\n"), done(), ...end);
    expect(types(await client.until("Z"))).toBe("Z");
    expect(await rowsSeen(client, mode)).toEqual([0, 0]);
  });

  test.each(cases)("fails behind CopyDone ($way, $mode)", async ({ mode, ask, end, head }) => {
    const client = await login(mode);
    client.send(...ask("copy goods from stdin"), data("1\nnot a number\n"), data("2\n"), done(), ...end);
    expect(types(await client.until("Z"))).toBe(`${head}GEZ`);
    expect(await rowsSeen(client, mode)).toEqual([0, 0]);
  });

  test.each(cases)("is given up with CopyFail ($way, $mode)", async ({ mode, ask, end, head }) => {
    const client = await login(mode);
    client.send(...ask("copy goods from stdin"), data("1\n"), fail(), ...end);
    const answer = await client.until("Z");
    expect(types(answer)).toBe(`${head}GEZ`);
    expect(errorFields(answer.at(-2)!.body)).toMatchObject({ C: "57014" });
    expect(await rowsSeen(client, mode)).toEqual([0, 0]);
  });

  test.each(cases)(
    "fails before it begins, and the data comes all the same ($way, $mode)",
    async ({ mode, ask, end, head }) => {
      const client = await login(mode);
      client.send(...ask("copy no_such_table from stdin"), data("1\n2\n"), data("3\n"), done(), ...end);
      // A simple one fails as a whole; an extended one in its Execute or, named and described, before.
      expect(types(await client.until("Z"))).toMatch(head === "" ? /^EZ$/ : /^1?2?EZ$/);
      expect(await rowsSeen(client, mode)).toEqual([0, 0]);
    },
  );

  test.each(cases)("the client dies in the middle ($way, $mode)", async ({ mode, ask }) => {
    const client = await login(mode);
    client.send(...ask("copy goods from stdin"), flush(), data("1\n"));
    await client.until("G");
    client.destroy();
    expect(await rowsSeen(await login(mode), mode)).toEqual([0, 0]);
  });

  test.each(["transaction", "session"])("fails within a transaction: the rest of it is refused (%s)", async (mode) => {
    const client = await login(mode);
    client.send(query("begin"));
    await client.until("Z");
    client.send(query("copy goods from stdin"), data("1\nx\n"), data("2\n"), done());
    const [, , ready] = await client.until("Z");
    expect(String.fromCharCode(ready!.body[0]!)).toBe("E");
    client.send(query("select 1"));
    expect(errorFields((await client.until("Z"))[0]!.body)).toMatchObject({ C: "25P02" });
    client.send(query("rollback"));
    await client.until("Z");
    expect(await rowsSeen(client, mode)).toEqual([0, 0]);
  });

  test("a late CopyDone while another client has the server is nobody's", async () => {
    const [late, other] = [await login("transaction"), await login("transaction")];
    late.send(query("copy goods from stdin"), data("x\n"));
    expect(types(await late.until("Z"))).toBe("GEZ");
    other.send(query("copy goods from stdin"));
    await other.until("G");
    late.send(data("666\n"), done(), fail());
    await sleep(50);
    other.send(data("1\n"), done());
    expect(types(await other.until("Z"))).toBe("CZ");
    other.end();
    expect(await rowsSeen(late, "transaction")).toEqual([1, 1]);
  });

  test("Syncs within the data are PostgreSQL's to swallow: one ReadyForQuery at the end", async () => {
    const client = await login("transaction");
    client.send(parse("", "copy goods from stdin"), bind("", ""), execute(""), sync());
    client.send(data("1\n"), done(), sync());
    expect(types(await client.until("Z"))).toBe("12GCZ");
    expect(await rowsSeen(client, "transaction")).toEqual([1, 1]);
  });

  test("two COPYs in one text", async () => {
    const client = await login("transaction");
    client.send(query("copy goods from stdin; copy goods from stdin"));
    await client.until("G");
    client.send(data("1\n"), done());
    await client.until("G");
    client.send(data("2\n"), done());
    expect(types(await client.until("Z"))).toBe("CZ");
    expect(await rowsSeen(client, "transaction")).toEqual([2, 2]);
  });
});

describe("COPY TO STDOUT", () => {
  test.each(cases)("succeeds, and fails in the middle ($way, $mode)", async ({ mode, ask, end, head }) => {
    const client = await login(mode);
    client.send(...ask("copy (select generate_series(1, 3)) to stdout"), ...end);
    expect(types(await client.until("Z"))).toBe(`${head}HdddcCZ`);
    client.end();
    const other = await login(mode);
    other.send(...ask("copy (select 1 / (3 - id) from generate_series(1, 9) id) to stdout"), ...end);
    expect(types(await other.until("Z"))).toBe(`${head}HddEZ`);
    expect(await rowsSeen(other, mode)).toEqual([0, 0]);
  });

  test.each(modes)("the client dies while rows are coming (%s)", async (mode) => {
    const client = await login(mode);
    client.send(query("copy (select repeat('x', 1000) from generate_series(1, 200000)) to stdout"));
    await client.until("d");
    client.destroy();
    expect(await rowsSeen(await login(mode), mode)).toEqual([0, 0]);
  });
});

describe("FunctionCall", () => {
  /** FunctionCall of `oid` with one text argument, text result. */
  const call = (oid: number, argument: string): Buffer => {
    const bytes = Buffer.from(argument);
    return message("F", int32(oid), int16(0), int16(1), int32(bytes.length), bytes, int16(0));
  };

  test.each(modes)("answers, fails, and leaves the server free (%s)", async (mode) => {
    const client = await login(mode);
    client.send(query("select 'pg_catalog.md5(text)'::regprocedure::oid"));
    const [md5] = columns((await client.until("Z"))[1]!.body).map(Number);
    client.send(call(md5!, "quiet"));
    const answer = await client.until("Z");
    expect(types(answer)).toBe("VZ");
    expect(answer[0]!.body.subarray(4).toString()).toBe(createHash("md5").update("quiet").digest("hex"));
    client.send(call(1, "no such function"));
    expect(types(await client.until("Z"))).toBe("EZ");
    expect(await rowsSeen(client, mode)).toEqual([0, 0]);
  });
});
