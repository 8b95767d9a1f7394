/**
 * `anonymous_statements`: texts that are parsed again and again without a name are kept prepared on servers, and clients see nothing of it.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { EmbeddedPostgres } from "../../src/demo/embedded-postgres.ts";
import { Bouncer } from "../support/bouncer.ts";
import {
  type WireMessage,
  WireClient,
  bind,
  columns,
  describePortal,
  describeStatement,
  errorFields,
  execute,
  parse,
  query,
  sync,
  types,
} from "../support/wire-client.ts";

let cluster: EmbeddedPostgres;
let bouncer: Bouncer;
let client: WireClient;

beforeAll(async () => {
  cluster = await EmbeddedPostgres.start({ roles: [{ name: "against" }] });
  bouncer = await Bouncer.start({
    databases: {
      one: `host=${cluster.host} port=${cluster.port} dbname=postgres pool_size=1`,
      statement: `host=${cluster.host} port=${cluster.port} dbname=postgres pool_size=1 pool_mode=statement`,
      without: `host=${cluster.host} port=${cluster.port} dbname=postgres pool_size=1 anonymous_statements=0`,
      session: `host=${cluster.host} port=${cluster.port} dbname=postgres pool_size=1 pool_mode=session`,
    },
    userlist: { postgres: "", against: "" },
    users: { against: "anonymous_statements=0" },
    settings: { pool_mode: "transaction", anonymous_statements: 1, log_connections: 0 },
  });
  client = await login();
});

afterAll(async () => {
  client?.end();
  await bouncer?.stop();
  await cluster?.stop();
});

beforeEach(async () => {
  await cluster.query("drop table if exists t");
  await cluster.query("create table t (a int, b text)");
  await cluster.query("insert into t values (1, 'one'), (2, 'two')");
});

const login = (database = "one", user = "postgres"): Promise<WireClient> =>
  WireClient.login(bouncer, { user, database });

async function ask(from: WireClient, ...messages: readonly Buffer[]): Promise<WireMessage[]> {
  from.send(Buffer.concat(messages));
  return from.until("Z");
}

function unit(sql: string, ...values: readonly (string | null)[]): Buffer[] {
  return [parse("", sql), bind("", "", values), describePortal(""), execute(""), sync()];
}

async function repeat(sql: string, ...values: readonly (string | null)[]): Promise<WireMessage[]> {
  let answer: WireMessage[] = [];
  for (let times = 0; times < 7; times += 1) {
    // eslint-disable-next-line no-await-in-loop
    answer = await ask(client, ...unit(sql, ...values));
  }
  return answer;
}

/** Executions of the kept statement with this text on the pool's server; −1 when there is none. */
async function executions(sql: string, from = client): Promise<number> {
  const answer = await ask(
    from,
    query(
      `select generic_plans + custom_plans from pg_prepared_statements where statement = '${sql.replaceAll("'", "''")}'`,
    ),
  );
  const row = answer.find(({ type }) => type === "D");
  return row === undefined ? -1 : Number(columns(row.body)[0]);
}

const value = (answer: readonly WireMessage[]): string | null =>
  columns(answer.find(({ type }) => type === "D")!.body)[0] ?? null;
const error = (answer: readonly WireMessage[]): Record<string, string> =>
  errorFields(answer.find(({ type }) => type === "E")!.body);

test("a text that comes again and again is parsed by PostgreSQL no more", async () => {
  const sql = "select b from t where a = $1";
  const answer = await repeat(sql, "2");
  expect([types(answer), value(answer)]).toEqual(["12TDCZ", "two"]);
  // From the fifth time on: prepared with it, and used by it and the two behind it.
  expect(await executions(sql)).toBe(3);
  const other = await login();
  expect(value(await ask(other, ...unit(sql, "1")))).toBe("one");
  expect(await executions(sql)).toBe(4);
  other.end();
});

test.each([
  ["in statement mode too", "statement", "postgres", 3],
  ["not in session mode", "session", "postgres", -1],
  ["not in a database that has anonymous_statements=0", "without", "postgres", -1],
  ["not for a user that has anonymous_statements=0", "one", "against", -1],
] as const)("%s", async (_, database, user, expected) => {
  const sql = "select $1::int + 1";
  const from = await login(database, user);
  // eslint-disable-next-line no-await-in-loop
  for (let times = 0; times < 7; times += 1) expect(value(await ask(from, ...unit(sql, "1")))).toBe("2");
  expect(await executions(sql, from)).toBe(expected);
  from.end();
});

describe("after DDL", () => {
  test("a result of another type: the client gets it, and no 0A000", async () => {
    const sql = "select * from t where a = $1";
    await repeat(sql, "1");
    expect(await executions(sql)).toBeGreaterThan(0);
    await cluster.query("alter table t add column c int default 7");
    const answer = await ask(client, ...unit(sql, "1"));
    expect(types(answer)).toBe("12TDCZ");
    expect(columns(answer.find(({ type }) => type === "D")!.body)).toEqual(["1", "one", "7"]);
    // What was kept has gone, and comes again.
    expect(await executions(sql)).toBe(-1);
    expect(types(await ask(client, ...unit(sql, "1")))).toBe("12TDCZ");
    expect(await executions(sql)).toBe(1);
  });

  test("a table that has gone is missed in PostgreSQL's words, at its place in the text", async () => {
    const sql = "select a from t where b = $1";
    await repeat(sql, "one");
    await cluster.query("drop table t");
    const answer = await ask(client, ...unit(sql, "one"));
    expect(types(answer)).toBe("EZ");
    expect(error(answer)).toMatchObject({ C: "42P01", P: "15" });
    await cluster.query("create table t (a int, b text)");
    expect(types(await ask(client, ...unit(sql, "one")))).toBe("12TCZ");
  });

  test("a parameter is what the column is now", async () => {
    const sql = "select count(*) from t where a = $1";
    await repeat(sql, "1");
    await cluster.query("alter table t alter column a type text");
    expect(value(await ask(client, ...unit(sql, "none")))).toBe("0");
  });

  test("a write is carried out once", async () => {
    const sql = "insert into t values ($1, 'more') returning *";
    await repeat(sql, "5");
    await cluster.query("alter table t add column c int");
    expect(types(await ask(client, ...unit(sql, "6")))).toBe("12TDCZ");
    expect(value(await ask(client, query("select count(*) from t where a = 6")))).toBe("1");
  });
});

test("a value that cannot be read is refused as ever, and the next one is not", async () => {
  const sql = "select b from t where a = $1::int";
  await repeat(sql, "1");
  const answer = await ask(client, ...unit(sql, "x"));
  expect([types(answer), error(answer)["C"]]).toEqual(["1EZ", "22P02"]);
  expect(value(await ask(client, ...unit(sql, "2")))).toBe("two");
});

test("DEALLOCATE ALL behind the pooler's back is not seen", async () => {
  const sql = "select b, 2 from t where a = $1";
  await repeat(sql, "1");
  await ask(client, query("do $$ begin execute 'deallocate all'; end $$"));
  const answer = await ask(client, ...unit(sql, "2"));
  expect([types(answer), value(answer)]).toEqual(["12TDCZ", "two"]);
});

test("what is sent behind it before its answer is answered in its turn", async () => {
  const sql = "select b, 3 from t where a = $1";
  await repeat(sql, "1");
  client.send(Buffer.concat(unit(sql, "1")));
  client.send(Buffer.concat([...unit(sql, "2"), query("select 'last'")]));
  expect(value(await client.until("Z"))).toBe("one");
  expect(value(await client.until("Z"))).toBe("two");
  expect(value(await client.until("Z"))).toBe("last");
});

test("the unnamed statement is there for who binds or describes it again", async () => {
  const sql = "select b, 4 from t where a = $1";
  await repeat(sql, "1");
  expect(value(await ask(client, bind("", "", ["2"]), execute(""), sync()))).toBe("two");
  await repeat(sql, "1");
  expect(types(await ask(client, describeStatement(""), sync()))).toBe("tTZ");
});

test("in a transaction, and with a moment in a literal, PostgreSQL parses anew", async () => {
  await ask(client, query("begin"));
  await repeat("select 1 as inside");
  await ask(client, query("commit"));
  expect(await executions("select 1 as inside")).toBe(-1);
  await repeat("select timestamptz 'now'");
  expect(await executions("select timestamptz 'now'")).toBe(-1);
});
