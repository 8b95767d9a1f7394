/** The log, row by row of PgBouncer's: what is said when, at which level, at which `verbose`, and with which prefix. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EmbeddedPostgres } from "../../src/demo/embedded-postgres.ts";
import { Bouncer } from "../support/bouncer.ts";
import { waitFor } from "../support/wait-for.ts";
import { query, startupMessage, types, WireClient } from "../support/wire-client.ts";

let cluster: EmbeddedPostgres;
let bouncer: Bouncer;
const settings = {
  pool_mode: "transaction",
  server_tls_sslmode: "disable",
  server_idle_timeout: 1,
  autodb_idle_timeout: 1,
  tcp_defer_accept: 0,
  stats_period: 1,
};

beforeAll(async () => {
  cluster = await EmbeddedPostgres.start();
  const place = `host=${cluster.host} port=${cluster.port} dbname=postgres`;
  bouncer = await Bouncer.start({
    databases: { shop: place, idle: place, kept: `${place} user=postgres min_pool_size=1`, "*": place },
    userlist: { postgres: "" },
    settings,
  });
});
afterAll(async () => {
  await bouncer?.stop();
  await cluster?.stop();
});

const at = String.raw`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \S+ \[\d+\]`;
const client = String.raw`C-0x[0-9a-f]+: shop\/postgres@127\.0\.0\.1:\d+`;
const server = String.raw`S-0x[0-9a-f]+: shop\/postgres@127\.0\.0\.1:\d+`;
/** A whole line of the log. */
const line = (level: string, text: string): RegExp => new RegExp(`^${at} ${level} ${text}$`, "m");

const logIn = (database = "shop", more: Readonly<Record<string, string>> = {}): Promise<WireClient> =>
  WireClient.login(bouncer, { user: "postgres", database, ...more });

async function ask(subject: WireClient, sql: string): Promise<void> {
  subject.send(query(sql));
  await subject.until("Z");
}

/** Sets settings for the time of `work`. */
async function using(values: Readonly<Record<string, string | number>>, work: () => Promise<unknown>): Promise<void> {
  for (const [key, value] of Object.entries(values)) await bouncer.admin(`SET ${key} = '${value}'`);
  await work();
  await bouncer.admin("RELOAD");
}

test("a start", () => {
  const { folder, port } = bouncer;
  const lines = [
    line(
      "LOG",
      String.raw`kernel file descriptor limit: \d+ \(hard: \d+\); max_client_conn: 100, max expected fd use: \d+`,
    ),
    line("LOG", String.raw`listening on 127\.0\.0\.1:${port}`),
    line("LOG", String.raw`listening on unix:${folder}/\.s\.PGSQL\.${port}`),
    line("LOG", String.raw`process up: PgBouncer 1\.25\.2 .*, adns: .+, tls: .+`),
  ];
  const places = lines.map((pattern) => bouncer.log().search(pattern));
  expect(places).not.toContain(-1);
  expect(places).toEqual([...places].sort((a, b) => a - b));
});

describe("connections", () => {
  test("a client and its server", async () => {
    const log = await bouncer.logDuring(async () => {
      const one = await logIn();
      await ask(one, "select 1");
      one.end();
      await bouncer.waitForLog(/closing because: client close request/);
    });
    expect(log).toMatch(line("LOG", `${client} login attempt: db=shop user=postgres tls=no replication=no`));
    expect(log).toMatch(line("LOG", String.raw`${server} new connection to server \(from 127\.0\.0\.1:\d+\)`));
    expect(log).toMatch(line("LOG", String.raw`${client} closing because: client close request \(age=\d+s\)`));
  });

  test("a client that ends without a word", async () => {
    const one = await logIn();
    one.socket.end();
    await bouncer.waitForLog(line("LOG", String.raw`${client} closing because: client unexpected eof \(age=\d+s\)`));
  });

  test("one that was never more than a connection is not worth a line", async () => {
    const log = await bouncer.logDuring(async () => {
      const probe = await WireClient.open(bouncer);
      const { localPort } = probe.socket;
      probe.socket.end();
      await waitFor("its end", async () =>
        (await bouncer.admin("SHOW SOCKETS")).every((row) => row["port"] !== localPort),
      );
    });
    expect(log).not.toContain("unexpected eof");
    expect(log).not.toContain("(nodb)");
  });

  test("over the Unix socket", async () => {
    const one = await WireClient.login(
      { port: bouncer.port, socketFolder: bouncer.folder },
      { user: "postgres", database: "shop" },
    );
    one.end();
    const prefix = String.raw`C-0x[0-9a-f]+: shop\/postgres@unix\(${process.pid}\):${bouncer.port}`;
    await bouncer.waitForLog(line("LOG", String.raw`${prefix} closing because: client close request \(age=0s\)`));
  });

  test("an error sent to a client", async () => {
    const one = await WireClient.open(bouncer);
    one.send(startupMessage({ user: "postgres", database: "shop", nonsense: "1" }));
    await one.rest();
    expect(bouncer.log()).toMatch(
      line("WARNING", String.raw`C-0x[0-9a-f]+: \S+ pooler error: unsupported startup parameter: nonsense`),
    );
    expect(bouncer.log()).toMatch(/ WARNING C-0x[0-9a-f]+: \S+ unsupported startup parameter: nonsense=1\n/);
    expect(bouncer.log()).toMatch(
      line("LOG", String.raw`C-0x[0-9a-f]+: \S+ closing because: unsupported startup parameter: nonsense \(age=0s\)`),
    );
  });

  test("a login that fails", async () => {
    // No entry is made from `*` for a name as long as that; it is cut where names end.
    const nowhere = "n".repeat(70);
    await expect(bouncer.connect({ database: nowhere, user: "postgres" })).rejects.toThrow(
      `no such database: ${"n".repeat(63)}`,
    );
    await bouncer.waitForLog(/ LOG C-0x[0-9a-f]+: n{70}\/postgres@\S+ login failed: db=n{63} user=postgres\n/);
    expect(bouncer.log()).toMatch(
      /closing because: no such database: n{63} .*\n.*WARNING .*pooler error: no such database: n{63}\n/,
    );
  });

  test("a name that holds a newline cannot make a line of its own", async () => {
    const one = await WireClient.open(bouncer);
    one.send(startupMessage({ user: "postgres", database: "a\n2026-01-01 00:00:00.000 UTC [1] LOG b" }));
    await bouncer.waitForLog(/login attempt: db=a\n\t2026-01-01 00:00:00\.000 UTC \[1\] LOG b user=postgres/);
    one.destroy();
    expect(bouncer.log()).not.toMatch(/^2026-01-01/m);
  });

  test("nothing of it when it is not wanted", async () => {
    await using({ log_connections: 0, log_disconnections: 0, log_pooler_errors: 0 }, async () => {
      const log = await bouncer.logDuring(async () => {
        const one = await logIn("shop");
        await ask(one, "select 1");
        one.end();
        const other = await WireClient.open(bouncer);
        other.send(startupMessage({ user: "postgres", database: "shop", nonsense: "1" }));
        await other.rest();
      });
      expect(
        log
          .split("\n")
          .filter((text) => text !== "" && !/ LOG stats: | unsupported startup parameter: nonsense=1$/.test(text)),
      ).toEqual([]);
    });
  });
});

test("commands", async () => {
  const commands = [
    ["PAUSE shop", "PAUSE 'shop' command issued"],
    ["RESUME shop", "RESUME 'shop' command issued"],
    ["PAUSE", "PAUSE command issued"],
    ["RESUME", "RESUME command issued"],
    ["RECONNECT", "RECONNECT command issued"],
    ["RECONNECT shop", "RECONNECT 'shop' command issued"],
    ["WAIT_CLOSE", "WAIT_CLOSE command issued"],
    ["DISABLE shop", "DISABLE 'shop' command issued"],
    ["ENABLE shop", "ENABLE 'shop' command issued"],
    ["KILL shop", "KILL 'shop' command issued"],
    ["RESUME shop", "RESUME 'shop' command issued"],
    ["RELOAD", "RELOAD command issued"],
  ] as const;
  for (const [command, text] of commands) {
    const log = await bouncer.logDuring(() => bouncer.admin(command));
    expect(log).toMatch(line("LOG", text));
  }
  const watcher = await WireClient.login(
    { port: bouncer.port, socketFolder: bouncer.folder },
    { user: "console", database: "pgbouncer" },
  );
  await ask(watcher, "SUSPEND");
  expect(bouncer.log()).toMatch(line("LOG", "SUSPEND command issued"));
  watcher.end();
  await bouncer.waitForLog(line("LOG", "admin disappeared when suspended, doing RESUME"));
});

test("databases made from *, and their end", async () => {
  const one = await logIn("template1");
  expect(bouncer.log()).toMatch(line("LOG", "registered new auto-database: template1"));
  one.end();
  await bouncer.waitForLog(
    line("WARNING", "dropping database 'template1' as it does not exist anymore or inactive auto-database"),
  );
});

test("pools that nobody uses go with their figures; those that are kept filled stay", async () => {
  await bouncer.reload({ settings: { ...settings, pool_idle_timeout: 1 } });
  for (const database of ["idle", "kept"]) {
    const one = await logIn(database);
    await ask(one, "select 1");
    one.end();
  }
  const pools = async (): Promise<unknown[]> => (await bouncer.admin("SHOW POOLS")).map((row) => row["database"]);
  expect(await pools()).toEqual(expect.arrayContaining(["idle", "kept", "pgbouncer"]));
  await bouncer.waitForLog(
    line(
      "LOG",
      String.raw`cleaning up idle pool for user postgres on db idle because: pool idle timeout \(age= [1-9]s\)`,
    ),
  );
  expect(await pools()).not.toContain("idle");
  expect(await pools()).toContain("kept");
  expect((await bouncer.admin("SHOW STATS")).map((row) => row["database"])).not.toContain("idle");
  expect(bouncer.log()).not.toMatch(/cleaning up idle pool .* on db (kept|pgbouncer)/);

  // It is made anew, and counts from the beginning; while somebody is in it nothing happens.
  const again = await logIn("idle");
  await ask(again, "select 1");
  const row = (await bouncer.admin("SHOW STATS")).find(({ database }) => database === "idle");
  expect(Number(row?.["total_query_count"])).toBe(1);
  await waitFor("its server's end", async () =>
    (await bouncer.admin("SHOW POOLS")).some((pool) => pool["database"] === "idle" && pool["sv_idle"] === 0),
  );
  const periods = bouncer.logCount(/ LOG stats: /);
  await waitFor("two seconds more", () => bouncer.logCount(/ LOG stats: /) > periods + 2);
  expect(await pools()).toContain("idle");
  await ask(again, "select 2");
  again.end();
  await waitFor("its end", () => bouncer.logCount(/cleaning up idle pool for user postgres on db idle/) === 2);
  await bouncer.reload({ settings });
});

test("figures of each period", async () => {
  const pattern = line(
    "LOG",
    String.raw`stats: \d+ xacts/s, \d+ queries/s, \d+ client parses/s, \d+ server parses/s, \d+ binds/s, \d+ client logins/s, in \d+ B/s, out \d+ B/s, xact \d+ us, query \d+ us, wait \d+ us`,
  );
  const count = bouncer.logCount(pattern);
  await waitFor("two periods", () => bouncer.logCount(pattern) >= count + 2);
});

describe("verbose", () => {
  /** What a login, a change of a tracked parameter and a query on the console say at a level. */
  async function linesAt(verbose: number): Promise<string> {
    await bouncer.admin(`SET verbose = ${verbose}`);
    const log = await bouncer.logDuring(async () => {
      // Two clients in different states make the server be set to another.
      const [one, two] = [await logIn("shop", { DateStyle: "iso, mdy" }), await logIn("shop", { DateStyle: "german" })];
      await ask(one, "select 1");
      await ask(two, "select 1");
      await bouncer.admin("SHOW VERSION");
      for (const each of [one, two]) each.end();
    });
    await bouncer.admin("SET verbose = 0");
    return log;
  }
  const debug = [
    line("DEBUG", String.raw`C-0x[0-9a-f]+: \S+ P: got connection: 127\.0\.0\.1:\d+ -> 127\.0\.0\.1:\d+`),
    line("DEBUG", String.raw`${server} varcache_apply: SET .*DateStyle.*`),
    line(
      "DEBUG",
      String.raw`${client} varcache_set_canonical: setting DateStyle to its canonical version german -> German, DMY`,
    ),
    line("DEBUG", "got admin query: SHOW VERSION"),
  ];
  const noise = line("NOISE", String.raw`new fd from accept=\d+`);
  const accepted = [
    line("NOISE", String.raw`safe_accept\(\d+\) = \d+ \(127\.0\.0\.1:\d+\)`),
    line("NOISE", String.raw`safe_accept\(\d+\) = \d+ \(unix\)`),
  ];

  test("0: nothing more", async () => {
    expect(await linesAt(0)).not.toMatch(/ (DEBUG|NOISE) /);
  });

  test("1: what is done", async () => {
    const log = await linesAt(1);
    for (const pattern of debug) expect(log).toMatch(pattern);
    expect(log).not.toContain(" NOISE ");
  });

  test("2: every detail, and 3: of accepted sockets too", async () => {
    const two = await linesAt(2);
    for (const pattern of [...debug, noise]) expect(two).toMatch(pattern);
    for (const pattern of accepted) expect(two).not.toMatch(pattern);
    const three = await linesAt(3);
    for (const pattern of [...debug, noise, ...accepted]) expect(three).toMatch(pattern);
  });
});

test("texts of queries are not in the log", async () => {
  await bouncer.admin("SET verbose = 3");
  const log = await bouncer.logDuring(async () => {
    const one = await logIn();
    one.send(query("select 'a secret of the client'"));
    expect(types(await one.until("Z"))).toBe("TDCZ");
    one.end();
  });
  await bouncer.admin("SET verbose = 0");
  expect(log).not.toContain("a secret of the client");
});
