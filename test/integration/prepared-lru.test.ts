/**
 * Named prepared statements in detail: how many a server keeps and which it gives up, what a failed Parse, an error in a
 * pipeline and DEALLOCATE ALL leave behind, and what is refused. What PostgreSQL holds is asked of itself.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { EmbeddedPostgres } from "../../src/demo/embedded-postgres.ts";
import { Bouncer } from "../support/bouncer.ts";
import {
  bind,
  closeStatement,
  columns,
  describeStatement,
  errorFields,
  execute,
  flush,
  parse,
  query,
  sync,
  types,
  WireClient,
} from "../support/wire-client.ts";
import { Backends } from "./backends.ts";
import { reloadBySignal } from "./login-reload.ts";

const defaults = { pool_mode: "transaction", pkt_buf: 4096 };

let cluster: EmbeddedPostgres;
let bouncer: Bouncer;
let backends: Backends;

beforeAll(async () => {
  cluster = await EmbeddedPostgres.start();
  const target = `host=${cluster.host} port=${cluster.port} dbname=postgres`;
  bouncer = await Bouncer.start({
    databases: {
      one: `${target} pool_size=1`,
      two: `${target} pool_size=2`,
      turns: `${target} pool_size=4`,
      session: `${target} pool_size=1 pool_mode=session`,
    },
    userlist: { postgres: "" },
    settings: defaults,
  });
  backends = await Backends.watch(cluster);
});

/** Every test begins with servers that hold nothing. */
beforeEach(async () => {
  await set({});
});

afterAll(async () => {
  await backends?.end();
  await bouncer?.stop();
  await cluster?.stop();
});

async function set(settings: Readonly<Record<string, string | number>>): Promise<void> {
  await reloadBySignal(bouncer, { settings: { ...defaults, ...settings } });
  await backends.terminate(await backends.pids());
}

const login = (database: string): Promise<WireClient> => WireClient.login(bouncer, { user: "postgres", database });

async function rows(client: WireClient, text: string): Promise<(string | null)[]> {
  client.send(query(text));
  const answer = await client.until("Z");
  return answer.filter(({ type }) => type === "D").map(({ body }) => columns(body)[0]!);
}

/** The texts that the client's server has prepared, the oldest first. */
const held = (client: WireClient): Promise<(string | null)[]> =>
  rows(client, "select statement from pg_prepared_statements where from_sql = false order by prepare_time, name");

/** Runs a prepared statement that yields one value. */
async function run(client: WireClient, name: string): Promise<string | null> {
  client.send(bind("", name), execute(""), sync());
  const answer = await client.until("Z");
  expect(types(answer)).toBe("2DCZ");
  return columns(answer[1]!.body)[0]!;
}

async function prepare(client: WireClient, name: string, text: string): Promise<void> {
  client.send(parse(name, text), sync());
  expect(types(await client.until("Z"))).toBe("1Z");
}

/** What the client is told before it is thrown out. */
async function refusal(client: WireClient): Promise<Record<string, string>> {
  const answer = await client.rest();
  return errorFields(answer.at(-1)!.body);
}

describe("how many a server keeps", () => {
  test.each([1, 3])("max_prepared_statements=%i: the ones used last", async (max) => {
    await set({ max_prepared_statements: max });
    const client = await login("one");
    for (let number = 0; number < 6; number += 1) await prepare(client, `s${number}`, `select ${number}`);
    const newest = Array.from({ length: max }, (_, back) => `select ${5 - back}`).reverse();
    expect(await held(client)).toEqual(newest);
    // All of them still work; each use brings its statement back.
    for (let number = 0; number < 6; number += 1) expect(await run(client, `s${number}`)).toBe(String(number));
    expect(await held(client)).toEqual(newest);
    client.end();
  });

  test("using one keeps it: Bind and Describe count as use", async () => {
    await set({ max_prepared_statements: 3 });
    const client = await login("one");
    for (const number of [1, 2, 3]) await prepare(client, `s${number}`, `select ${number}`);
    await run(client, "s1");
    client.send(describeStatement("s2"), sync());
    await client.until("Z");
    await prepare(client, "s4", "select 4");
    expect(new Set(await held(client))).toEqual(new Set(["select 1", "select 2", "select 4"]));
    client.end();
  });

  test("changed while servers hold some: 5, 2, then 0", async () => {
    await set({ max_prepared_statements: 5 });
    const client = await login("one");
    for (let number = 0; number < 5; number += 1) await prepare(client, `s${number}`, `select ${number}`);
    expect(await held(client)).toHaveLength(5);
    await reloadBySignal(bouncer, { settings: { ...defaults, max_prepared_statements: 2 } });
    await prepare(client, "more", "select 'more'");
    expect(await held(client)).toEqual(["select 4", "select 'more'"]);
    await reloadBySignal(bouncer, { settings: { ...defaults, max_prepared_statements: 0 } });
    client.send(bind("", "s1"), execute(""), sync());
    const answer = await client.until("Z");
    expect(types(answer)).toBe("EZ");
    expect(errorFields(answer[0]!.body)).toMatchObject({ C: "26000" });
    expect(await held(client)).toEqual(["select 4", "select 'more'"]);
    client.end();
  });

  test("0: names reach PostgreSQL as they are; so they do in session mode", async () => {
    await set({ max_prepared_statements: 0 });
    for (const database of ["one", "session"]) {
      const client = await login(database);
      await prepare(client, "my own", "select 1");
      expect(await rows(client, "select name from pg_prepared_statements")).toEqual(["my own"]);
      client.end();
    }
  });

  test("more in one pipeline than a server may hold", async () => {
    await set({ max_prepared_statements: 2 });
    const client = await login("one");
    const count = 20;
    const numbers = Array.from({ length: count }, (_, number) => number);
    client.send(...numbers.map((number) => parse(`p${number}`, `select ${number}`)), sync());
    expect(types(await client.until("Z"))).toBe(`${"1".repeat(count)}Z`);
    const order = [...numbers, ...numbers.toReversed()];
    client.send(...order.flatMap((number) => [bind("", `p${number}`), execute("")]), sync());
    const answer = await client.until("Z");
    expect(types(answer)).toBe(`${"2DC".repeat(order.length)}Z`);
    const values = answer.filter(({ type }) => type === "D").map(({ body }) => Number(columns(body)[0]));
    expect(values).toEqual(order);
    expect(await held(client)).toHaveLength(2);
    client.end();
  });

  test("evictions that PostgreSQL skipped because of an error are not believed to have happened", async () => {
    await set({ max_prepared_statements: 2 });
    const client = await login("one");
    await prepare(client, "a", "select 'a'");
    await prepare(client, "b", "select 'b'");
    // The failing one is parsed first; everything up to Sync is skipped, the Closes of evicted ones too.
    client.send(parse("bad", "select no_such_column"), parse("c", "select 'c'"), parse("d", "select 'd'"), sync());
    expect(types(await client.until("Z"))).toBe("EZ");
    for (const name of ["a", "b"]) expect(await run(client, name)).toBe(name);
    // Their names were never taken.
    for (const name of ["c", "d"]) {
      await prepare(client, name, `select '${name}'`);
      expect(await run(client, name)).toBe(name);
    }
    expect((await held(client)).length).toBeLessThanOrEqual(2);
    client.end();
  });
});

describe("statements that all servers share", () => {
  test("two clients with the same name for different texts, on every server", async () => {
    const texts = ["select 'first'", "select 'second'"];
    const clients = await Promise.all(texts.map(() => login("two")));
    await Promise.all(clients.map((client, number) => prepare(client, "same", texts[number]!)));
    const blockers = [await login("two"), await login("two")];
    for (let round = 0; round < 4; round += 1) {
      // One of the two servers is taken, in turn, so that both are used by both.
      const blocker = blockers[round % 2]!;
      blocker.send(query("begin"));
      await blocker.until("Z");
      expect(await run(clients[0]!, "same")).toBe("first");
      expect(await run(clients[1]!, "same")).toBe("second");
      blocker.send(query("rollback"));
      await blocker.until("Z");
    }
    for (const client of [...clients, ...blockers]) client.end();
  });

  test("a long one goes to every server that lacks it, and to its clients' servers of later", async () => {
    const text = `select $1::int, length('${"long ".repeat(8000)}')`;
    const [first, second] = [await login("two"), await login("two")];
    for (const client of [first, second]) {
      client.send(parse("long", text, [23]), sync());
      expect(types(await client.until("Z"))).toBe("1Z");
    }
    for (let round = 0; round < 3; round++) {
      // Both servers are in use, so both have to have it; and in the next round they are new ones.
      for (const client of [first, second]) {
        client.send(query("begin"));
        await client.until("Z");
        client.send(bind("", "long", ["7"]), execute(""), sync());
        const answers = await client.until("Z");
        expect(types(answers)).toBe("2DCZ");
        expect(columns(answers[1]!.body)).toEqual(["7", "40000"]);
      }
      for (const client of [first, second]) {
        client.send(query("commit"));
        await client.until("Z");
      }
      await backends.terminate(await backends.pids());
    }
    first.end();
    second.end();
  });

  test("the same text with other parameter types is another statement", async () => {
    const client = await login("one");
    const [int4, text] = [23, 25];
    client.send(
      parse("n", "select pg_typeof($1)::text", [int4]),
      parse("t", "select pg_typeof($1)::text", [text]),
      sync(),
    );
    expect(types(await client.until("Z"))).toBe("11Z");
    for (const [name, type] of [
      ["n", "integer"],
      ["t", "text"],
    ]) {
      client.send(bind("", name!, ["1"]), execute(""), sync());
      expect(columns((await client.until("Z"))[1]!.body)).toEqual([type]);
    }
    client.end();
  });

  test("pipelines of many clients, random in length and order, each with its own answers", async () => {
    await set({ max_prepared_statements: 7 });
    let seed = 12345;
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
      return (seed >>> 8) % below;
    };
    const plans = Array.from({ length: 8 }, () =>
      Array.from({ length: 30 }, () => Array.from({ length: random(10) }, () => random(25))),
    );
    await Promise.all(
      plans.map(async (pipelines, number) => {
        const client = await login("turns");
        const known = new Set<number>();
        for (const pipeline of pipelines) {
          const expected: string[] = [];
          let shape = "";
          for (const which of pipeline) {
            if (!known.has(which)) {
              known.add(which);
              client.send(parse(`q${which}`, `select $1 || ' ${which}'`));
              shape += "1";
            }
            client.send(bind("", `q${which}`, [`client ${number}`]), execute(""));
            expected.push(`client ${number} ${which}`);
            shape += "2DC";
          }
          client.send(sync());
          const answer = await client.until("Z");
          expect(types(answer)).toBe(`${shape}Z`);
          expect(answer.filter(({ type }) => type === "D").map(({ body }) => columns(body)[0])).toEqual(expected);
        }
        client.end();
      }),
    );
  });
});

describe("errors", () => {
  test("a Parse that fails is not remembered, here or on another server", async () => {
    const [client, other] = [await login("two"), await login("two")];
    client.send(parse("later", "select * from not_there_yet"), sync());
    expect(types(await client.until("Z"))).toBe("EZ");
    await cluster.query("create table not_there_yet (id int)");
    await prepare(client, "later", "select count(*)::text from not_there_yet");
    await prepare(other, "later", "select 'other'");
    expect(await run(client, "later")).toBe("0");
    expect(await run(other, "later")).toBe("other");
    client.end();
    other.end();
  });

  test("a statement that fails to be prepared again fails its user, and works when it can again", async () => {
    const client = await login("one");
    await cluster.query("create table comes_and_goes (id int)");
    await prepare(client, "s", "select count(*)::text from comes_and_goes");
    await cluster.query("drop table comes_and_goes");
    await backends.terminate(await backends.pids());
    client.send(bind("", "s"), execute(""), sync());
    const answer = await client.until("Z");
    expect(types(answer)).toBe("EZ");
    expect(errorFields(answer[0]!.body)).toMatchObject({ C: "42P01" });
    await cluster.query("create table comes_and_goes (id int)");
    expect(await run(client, "s")).toBe("0");
    client.end();
  });

  test.each([
    ["at once", [sync()], "2DCEZ", []],
    ["later", [flush()], "2DCE", [parse("lost too", "select 'lost'"), sync()]],
  ])("an error in a pipeline clears it up to Sync, which comes %s", async (_, end, answer, rest) => {
    const client = await login("one");
    await prepare(client, "fine", "select 'fine'");
    await prepare(client, "zero", "select (1 / (length('x') - 1))::text");
    const pipeline = [bind("", "fine"), execute(""), bind("", "zero"), execute(""), parse("lost", "select 'lost'")];
    client.send(...pipeline, bind("", "fine"), execute(""), closeStatement("fine"), ...end);
    expect(types(await client.until(answer.at(-1)!))).toBe(answer);
    client.send(...rest);
    // Its Close was skipped like everything else; the names of Parses that were skipped are free.
    client.send(parse("lost", "select 'found'"), parse("lost too", "select 'found'"), sync());
    const ready = await client.until("1");
    expect(types(ready)).toBe(rest.length > 0 ? "Z1" : "1");
    expect(types(await client.until("Z"))).toBe("1Z");
    for (const name of ["lost", "lost too"]) expect(await run(client, name)).toBe("found");
    expect(await run(client, "fine")).toBe("fine");
    client.end();
  });
});

describe("what is refused", () => {
  test("a name that is taken", async () => {
    const client = await login("one");
    await prepare(client, "test", "select 1");
    client.send(parse("test", "select 2"), sync());
    expect(await refusal(client)).toMatchObject({ S: "FATAL", M: "prepared statement name is already in use" });
    expect(bouncer.logContains(/prepared statement 'test' was already prepared/)).toBe(true);
  });

  test.each([
    ["Bind", bind("", "nobody's")],
    ["Describe", describeStatement("nobody's")],
  ])("%s of a name that nobody prepared", async (_, bytes) => {
    const client = await login("one");
    client.send(bytes, sync());
    expect(await refusal(client)).toMatchObject({ S: "FATAL", M: "prepared statement did not exist" });
    const next = await login("one");
    expect(await rows(next, "select 'in step'")).toEqual(["in step"]);
    next.end();
  });

  test("Close of such a name is no error; of a known one it frees the name and never reaches PostgreSQL", async () => {
    const client = await login("one");
    client.send(closeStatement("nobody's"), sync());
    expect(types(await client.until("Z"))).toBe("3Z");
    await prepare(client, "mine", "select 'mine'");
    client.send(closeStatement("mine"), sync());
    expect(types(await client.until("Z"))).toBe("3Z");
    expect(await held(client)).toEqual(["select 'mine'"]);
    client.send(describeStatement("mine"), sync());
    expect(await refusal(client)).toMatchObject({ M: "prepared statement did not exist" });
  });

  test.each(["deallocate all", "discard all"])("%s: this client's names, and nobody else's", async (text) => {
    const [client, other] = [await login("one"), await login("one")];
    await prepare(client, "s", "select 'client'");
    await prepare(other, "s", "select 'other'");
    await rows(client, text);
    expect(await held(client)).toEqual([]);
    expect(await run(other, "s")).toBe("other");
    await prepare(client, "s", "select 'again'");
    expect(await run(client, "s")).toBe("again");
    await rows(client, text);
    client.send(bind("", "s"), execute(""), sync());
    expect(await refusal(client)).toMatchObject({ M: "prepared statement did not exist" });
    expect(await run(other, "s")).toBe("other");
    other.end();
  });
});

describe("sizes", () => {
  test.each([2, 10, 300])("Parse and Bind of %i times pkt_buf, also when settings must be set first", async (times) => {
    const size = times * 4096;
    const client = await login("one");
    const other = await WireClient.login(bouncer, { user: "postgres", database: "one", application_name: "other" });
    const text = `select length($1)::text || '${"x".repeat(size)}'`;
    await prepare(client, "large", text);
    for (const one of [client, other]) {
      if (one === other) await prepare(one, "large", text);
      one.send(bind("", "large", ["y".repeat(size)]), execute(""), sync());
      const answer = await one.until("Z");
      expect(types(answer)).toBe("2DCZ");
      expect(columns(answer[1]!.body)).toEqual([`${size}${"x".repeat(size)}`]);
    }
    client.end();
    other.end();
  });

  test("a statement name of 16 KB in Parse, Describe, Bind and Close", async () => {
    const name = "n".repeat(16 * 1024);
    const client = await login("one");
    await prepare(client, name, "select 'long'");
    client.send(describeStatement(name), bind("", name), execute(""), closeStatement(name), sync());
    expect(types(await client.until("Z"))).toBe("tT2DC3Z");
    await prepare(client, name, "select 'free again'");
    client.end();
  });
});
