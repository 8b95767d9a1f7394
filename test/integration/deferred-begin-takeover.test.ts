/** Online restart with transactions that no server knows of: they go along, to a process of either runtime. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { EmbeddedPostgres } from "../../src/demo/embedded-postgres.ts";
import { Bouncer } from "../support/bouncer.ts";
import { waitFor } from "../support/wait-for.ts";
import { type WireMessage, WireClient, columns, errorFields, query } from "../support/wire-client.ts";

const deadlineMs = 60_000;

let cluster: EmbeddedPostgres;
let bouncer: Bouncer;

beforeAll(async () => {
  cluster = await EmbeddedPostgres.start();
  await cluster.query("create table kept (id int)");
});

beforeEach(async () => {
  bouncer = await Bouncer.start({
    databases: { one: `host=${cluster.host} port=${cluster.port} dbname=postgres pool_size=2` },
    userlist: { postgres: "" },
    settings: { pool_mode: "transaction", deferred_begin: 60_000, anonymous_statements: 1 },
  });
});

afterEach(async () => {
  await bouncer?.stop();
});

afterAll(async () => {
  await cluster?.stop();
});

const login = (): Promise<WireClient> =>
  WireClient.login({ host: bouncer.host, port: bouncer.port }, { database: "one", user: "postgres" });

async function ask(client: WireClient, sql: string): Promise<WireMessage[]> {
  client.send(query(sql));
  return client.until("Z");
}

const status = (answer: readonly WireMessage[]): string => answer.at(-1)!.body.toString("latin1");

function otherRuntime(): "node" | "bun" {
  return bouncer.runtime === "node" ? "bun" : "node";
}

test(
  "a BEGIN that waits for its first statement goes along",
  async () => {
    const client = await login();
    expect(status(await ask(client, "begin"))).toBe("T");
    await bouncer.reboot({ runtime: otherRuntime() });
    expect(status(await ask(client, "insert into kept values (1)"))).toBe("T");
    await ask(client, "rollback");
    expect((await cluster.query("select count(*) from kept")).rows[0]?.["count"]).toBe("0");
    client.end();
  },
  deadlineMs,
);

test(
  "an empty transaction is ended by the other process, without a server",
  async () => {
    const client = await login();
    await ask(client, "begin");
    await bouncer.reboot({ runtime: otherRuntime() });
    const end = await ask(client, "commit");
    expect(end[0]!.body.toString("latin1")).toBe("COMMIT\0");
    expect(status(end)).toBe("I");
    client.end();
  },
  deadlineMs,
);

test(
  "so does one whose first statement is running",
  async () => {
    const client = await login();
    await ask(client, "begin");
    client.send(query("select 'slept', pg_sleep(4)"));
    await waitFor("it to run", async () => {
      const { rows } = await cluster.query(
        "select 1 from pg_stat_activity where query like '%slept%' and wait_event = 'PgSleep'",
      );
      return rows.length === 1;
    });
    await bouncer.reboot({ runtime: otherRuntime() });
    const answer = await client.until("Z");
    expect(columns(answer.find(({ type }) => type === "D")!.body)[0]).toBe("slept");
    expect(status(answer)).toBe("T");
    const failed = await ask(client, "select nothing");
    expect(errorFields(failed[0]!.body)["C"]).toBe("42703");
    expect(status(failed)).toBe("E");
    await ask(client, "rollback");
    client.end();
  },
  deadlineMs,
);
