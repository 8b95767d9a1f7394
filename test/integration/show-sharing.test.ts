/** SHOW SHARING and SHOW SHARED_STATEMENTS of a pooler at work. Every row that they can have is `unit/admin/show-sharing`. */
import { Client, type ClientConfig } from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EmbeddedPostgres } from "../../src/demo/embedded-postgres.ts";
import { Bouncer } from "../support/bouncer.ts";
import { waitFor } from "../support/wait-for.ts";

const READERS = 8;

interface Figure {
  readonly event: string;
  readonly reason: string;
  readonly count: number;
}

describe("what a pooler says of its sharing", () => {
  let cluster: EmbeddedPostgres;
  let bouncer: Bouncer;

  beforeAll(async () => {
    cluster = await EmbeddedPostgres.start({ databases: ["a", "off"], roles: [{ name: "plain" }] });
    await cluster.query("create table cups (id int primary key, name text)", [], "a");
    await cluster.query("insert into cups select i, 'cup ' || i from generate_series(1, 100) i", [], "a");
    await cluster.query("grant select on cups to public", [], "a");
    const servers = `host=127.0.0.1 port=${cluster.port}`;
    bouncer = await Bouncer.start({
      databases: { a: servers, off: `${servers} sharing=0` },
      users: { plain: "sharing=0" },
      userlist: { postgres: "", plain: "", looker: "" },
      // A machine that is busy with other tests does not make a read long.
      settings: { pool_mode: "transaction", default_pool_size: 1, stats_users: "looker", sharing_short_time: 100 },
    });
  });

  afterAll(async () => {
    await bouncer?.stop();
    await cluster?.stop();
  });

  const figures = async (database: string, user: string): Promise<readonly Figure[]> =>
    ((await bouncer.admin("SHOW SHARING")) as unknown as ({ database: string; user: string } & Figure)[])
      .filter((row) => row.database === database && row.user === user)
      .map(({ event, reason, count }) => ({ event, reason, count }));

  /** Of a pool of `a`; 0 for what has no row. */
  const count = async (event: string, reason: string): Promise<number> =>
    (await figures("a", "postgres")).find((row) => row.event === event && row.reason === reason)?.count ?? 0;

  const state = async (database: string, user: string): Promise<string | undefined> =>
    (await figures(database, user)).find(({ event }) => event === "state")?.reason;

  const statementsOf = async (user: string): Promise<Map<unknown, Record<string, unknown>>> =>
    new Map(
      (await bouncer.admin("SHOW SHARED_STATEMENTS"))
        .filter((row) => row["database"] === "a" && row["user"] === user)
        .map((row) => [row["statement"], row]),
    );

  async function withClients(config: ClientConfig, number: number, work: (clients: Client[]) => Promise<void>) {
    const clients: Client[] = [];
    try {
      while (clients.length < number) clients.push(await bouncer.connect(config));
      await work(clients);
    } finally {
      for (const client of clients) await client.end();
    }
  }

  const waiters = async (): Promise<unknown> =>
    (await bouncer.admin("SHOW POOLS")).find(({ database, user }) => database === "a" && user === "postgres")?.[
      "cl_waiting"
    ];

  /** `ask` of each reader waits while `holder` has the only server, and then all are answered. */
  async function crowd(
    holder: Client,
    readers: readonly Client[],
    ask: (reader: Client, i: number) => Promise<unknown>,
  ) {
    await holder.query("begin");
    const asked = readers.map((reader, i) => ask(reader, i));
    await waitFor("all to wait", async () => (await waiters()) === readers.length);
    await holder.query("commit");
    return Promise.all(asked);
  }

  test("from a catalogue that nobody has read to statements that ride behind others", async () => {
    await withClients({ database: "a" }, READERS + 1, async ([holder, ...readers]) => {
      await holder!.query("select 1");
      expect(await figures("a", "postgres")).toEqual([
        { event: "state", reason: "catalogue not read", count: 0 },
        { event: "ride", reason: "first", count: 0 },
        { event: "ride", reason: "behind others", count: 0 },
        { event: "trial", reason: "", count: 0 },
      ]);
      const read = (reader: Client, i: number) => reader.query(`select name from cups where id = ${i + 1}`);
      await waitFor("statements to ride behind others", async () => {
        const answers = await crowd(holder!, readers, read);
        expect(answers.map((answer) => (answer as { rows: unknown[] }).rows)).toEqual(
          readers.map((_, i) => [{ name: `cup ${i + 1}` }]),
        );
        return (await count("ride", "behind others")) > 0;
      });
      expect(await state("a", "postgres")).toBe("on");
      // The first ones had to wait while nothing was known, and the next to show how long they take.
      expect(await count("refused", "facts missing")).toBeGreaterThan(0);
      expect(await count("refused", "not known to be short")).toBeGreaterThan(0);
      expect(await count("trial", "")).toBeGreaterThan(2);
      expect(await count("ride", "first")).toBeGreaterThan(0);
      const statement = (await statementsOf("postgres")).get("select name from cups where id = 0");
      expect(statement).toMatchObject({ may_share: "yes", reason: "", short: "yes" });
      expect(Number(statement?.["runs"])).toBeGreaterThan(3);
      expect(Number(statement?.["mean_us"])).toBeGreaterThan(0);
    });
  });

  test("what cannot share is counted with its reason, and shown without its constants", async () => {
    await withClients({ database: "a" }, 4, async ([holder, ...others]) => {
      const texts = [
        "update cups set name = 'secret' where id = 0",
        "select name from cups where id = 5 for update",
        "select random()",
      ];
      await crowd(holder!, others, (other, i) => other.query(texts[i]!));
      const statements = await statementsOf("postgres");
      // What cannot be a read is not taken note of.
      expect(await count("refused", "not a select")).toBeGreaterThan(0);
      expect([...statements.keys()].filter((text) => String(text).startsWith("update"))).toEqual([]);
      for (const [text, reason] of [
        ["select name from cups where id = 0 for update", "locking"],
        ["select random()", "volatile function"],
      ] as const) {
        expect(await count("refused", reason)).toBe(1);
        expect(statements.get(text)).toMatchObject({ may_share: "no", reason, runs: 0, short: "no" });
      }
    });
  });

  test("a head that waits for a lock is sealed, and its riders are moved", async () => {
    await withClients({ database: "a" }, READERS + 1, async ([holder, ...readers]) => {
      const locker = new Client({ host: "127.0.0.1", port: cluster.port, user: "postgres", database: "a" });
      await locker.connect();
      try {
        await locker.query("begin");
        await locker.query("lock table cups");
        const asked = crowd(holder!, readers, (reader, i) => reader.query(`select name from cups where id = ${i + 1}`));
        await waitFor("riders to be moved", async () => (await count("move", "slow statement")) > 0);
        expect(await count("seal", "slow statement")).toBeGreaterThan(0);
        await locker.query("commit");
        await asked;
      } finally {
        await locker.end();
      }
    });
  });

  test("off for a database, off for a user", async () => {
    await withClients({ database: "off" }, 1, ([client]) => client!.query("select 1").then(() => undefined));
    await withClients({ database: "a", user: "plain" }, 1, ([client]) =>
      client!.query("select 1").then(() => undefined),
    );
    expect([await state("off", "postgres"), await state("a", "plain")]).toEqual(["sharing = 0", "sharing = 0"]);
  });

  test("stats users see the figures and not the statements", async () => {
    await withClients({ database: "pgbouncer", user: "looker" }, 1, async ([looker]) => {
      expect((await looker!.query("SHOW SHARING")).rows.length).toBeGreaterThan(4);
      await expect(looker!.query("SHOW SHARED_STATEMENTS")).rejects.toThrow("admin access needed");
    });
  });
});
