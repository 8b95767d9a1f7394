/**
 * Host names of servers, with a name server of the test's own and a PostgreSQL that listens on two addresses: which
 * address connections go to, what is remembered and for how long, and what happens when a name moves.
 */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Client } from "pg";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { EmbeddedPostgres } from "../../src/demo/embedded-postgres.ts";
import { Bouncer } from "../support/bouncer.ts";
import { DnsServer } from "../support/dns-server.ts";
import { waitFor } from "../support/wait-for.ts";

const ONE = "127.0.0.1";
const TWO = "127.0.0.2";
const HOST = "db.shop.test";

let cluster: EmbeddedPostgres;
let dns: DnsServer;
let folder: string;
let resolvConf: string;
const bouncers: Bouncer[] = [];
const clients: Client[] = [];

beforeAll(async () => {
  cluster = await EmbeddedPostgres.start({
    settings: { listen_addresses: `${ONE},${TWO}` },
    hba: "local all all trust\nhost all all 127.0.0.0/8 trust",
  });
  folder = mkdtempSync(join(tmpdir(), "pgc-dns-"));
  chmodSync(folder, 0o755);
  resolvConf = join(folder, "resolv.conf");
});

beforeEach(async () => {
  dns = await DnsServer.start();
  dns.names.set(HOST, { v4: [ONE] });
  dns.names.set("shop.test", { serial: 1 });
  writeFileSync(resolvConf, dns.resolvConf("search shop.test"));
});

afterEach(async () => {
  for (const client of clients.splice(0)) await client.end().catch(() => undefined);
  for (const bouncer of bouncers.splice(0)) await bouncer.stop();
  dns.stop();
});

afterAll(async () => {
  await cluster?.stop();
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
});

async function start(
  databases: Readonly<Record<string, string>>,
  settings: Readonly<Record<string, string | number>> = {},
): Promise<Bouncer> {
  const bouncer = await Bouncer.start({
    databases,
    userlist: { postgres: "" },
    settings: {
      pool_mode: "transaction",
      resolv_conf: resolvConf,
      server_tls_sslmode: "disable",
      server_login_retry: 0.2,
      dns_nxdomain_ttl: 0.5,
      ...settings,
    },
  });
  bouncers.push(bouncer);
  return bouncer;
}

const at = (host: string, more = ""): string => `host=${host} port=${cluster.port} dbname=postgres ${more}`;

async function connect(bouncer: Bouncer, database: string): Promise<Client> {
  const client = await bouncer.connect({ database });
  clients.push(client);
  return client;
}

/** The address and the process that a client's next transaction runs on. */
async function place(client: Client): Promise<{ address: string; pid: number }> {
  const { rows } = await client.query<{ address: string; pid: number }>(
    "select host(inet_server_addr()) as address, pg_backend_pid() as pid",
  );
  return rows[0] as { address: string; pid: number };
}

/** Where so many clients are that hold a server each at the same time. */
async function places(bouncer: Bouncer, database: string, count: number): Promise<readonly string[]> {
  const addresses: string[] = [];
  for (let i = 0; i < count; i += 1) {
    const client = await connect(bouncer, database);
    await client.query("begin");
    addresses.push((await place(client)).address);
  }
  return addresses;
}

async function lists(bouncer: Bouncer): Promise<Record<string, number>> {
  const rows = await bouncer.admin("SHOW LISTS");
  return Object.fromEntries(
    rows.filter(({ list }) => `${list}`.startsWith("dns")).map((row) => [row["list"], row["items"]]),
  );
}

describe("what is remembered", () => {
  test("one look-up serves all; addresses are used in turn, and shown", async () => {
    dns.names.set(HOST, { v4: [ONE, TWO] });
    const bouncer = await start({ shop: at(HOST), same: at(HOST), literal: at(TWO) }, { dns_max_ttl: 600 });
    const addresses = [...(await places(bouncer, "shop", 3)), ...(await places(bouncer, "same", 1))];
    expect(addresses.toSorted()).toEqual([ONE, ONE, TWO, TWO]);
    expect(await places(bouncer, "literal", 1)).toEqual([TWO]);
    expect(dns.asked(HOST)).toBe(1);
    const [row, ...more] = await bouncer.admin("SHOW DNS_HOSTS");
    expect(more).toEqual([]);
    expect(row).toMatchObject({ hostname: HOST });
    expect(row?.["ttl"]).toBeGreaterThan(580);
    expect(row?.["ttl"]).toBeLessThanOrEqual(600);
    expect(`${row?.["addrs"]}`.split(",").toSorted()).toEqual([`${ONE}:0`, `${TWO}:0`]);
    expect(await bouncer.admin("SHOW DNS_ZONES")).toEqual([{ zonename: "shop.test", serial: 0, count: 1 }]);
    expect(await lists(bouncer)).toEqual({ dns_names: 1, dns_zones: 1, dns_queries: 0, dns_pending: 0 });
    await bouncer.admin("SET dns_max_ttl = 0");
    await places(bouncer, "shop", 1);
    expect(dns.asked(HOST)).toBe(2);
  });

  test("a name that does not exist is asked for again after dns_nxdomain_ttl, and served when it exists", async () => {
    const bouncer = await start({ shop: at("late") });
    const client = connect(bouncer, "shop");
    await bouncer.waitForLog(/DNS lookup failed: late: ENOTFOUND/);
    await bouncer.waitForLog(/S-.*closing because: server DNS lookup failed \(age=/);
    expect(await bouncer.admin("SHOW DNS_HOSTS")).toEqual([{ hostname: "late", ttl: 0, addrs: "" }]);
    // Attempts go on, look-ups do not.
    await waitFor("more attempts", () => bouncer.logCount(/server DNS lookup failed/) >= 3);
    expect(bouncer.logCount(/server DNS lookup failed/)).toBeGreaterThan(bouncer.logCount(/DNS lookup failed: late/));
    dns.names.set("late.shop.test", { v4: [TWO] });
    expect((await place(await client)).address).toBe(TWO);
  });

  test("a name that is never answered holds up no other, and shows as under way", async () => {
    dns.dead.add("dead.shop.test");
    const bouncer = await start({ gone: at("dead.shop.test"), shop: at(HOST) }, { client_login_timeout: 60 });
    const waiting = connect(bouncer, "gone").catch(() => undefined);
    await waitFor("the question", () => dns.asked("dead.shop.test") > 0);
    expect(await places(bouncer, "shop", 2)).toEqual([ONE, ONE]);
    expect(await lists(bouncer)).toMatchObject({ dns_names: 2, dns_queries: 1 });
    expect(bouncer.logCount(/DNS lookup failed/)).toBe(0);
    await bouncer.waitForLog(/DNS lookup failed: dead.shop.test: ETIMEOUT/);
    await bouncer.admin("KILL gone");
    await waiting;
  });
});

describe("a name that moves", () => {
  test("servers on the old address finish what they do and close; clients notice nothing", async () => {
    const bouncer = await start(
      { shop: at(HOST), list: at(`${HOST},${HOST}`), literal: at(ONE) },
      { dns_max_ttl: 0.2, server_check_delay: 0 },
    );
    const client = await connect(bouncer, "shop");
    await client.query("begin");
    const before = await place(client);
    const listed = await connect(bouncer, "list");
    const listedBefore = await place(listed);
    const literal = await connect(bouncer, "literal");
    const literalBefore = await place(literal);
    expect([before.address, listedBefore.address, literalBefore.address]).toEqual([ONE, ONE, ONE]);
    dns.names.set(HOST, { v4: [TWO] });
    await waitFor("a server on the new address", async () => {
      const [address] = await places(bouncer, "shop", 1);
      return address === TWO;
    });
    // Those who came while the old answer still counted are in transactions too.
    for (const other of clients.splice(3)) await other.end();
    const marked = await bouncer.admin("SHOW SERVERS");
    expect(marked.filter((row) => row["close_needed"] === 1).every((row) => row["addr"] === ONE)).toBe(true);
    expect(marked.find((row) => row["remote_pid"] === before.pid)).toMatchObject({ addr: ONE, close_needed: 1 });
    // The transaction goes on where it is.
    expect(await place(client)).toEqual(before);
    await client.query("commit");
    expect((await place(client)).address).toBe(TWO);
    await waitFor("the old servers to be gone", async () => {
      const rows = await bouncer.admin("SHOW SERVERS");
      return rows.every((row) => row["database"] !== "shop" || row["addr"] === TWO);
    });
    // Members of a host list and literal addresses are left alone.
    expect(await place(listed)).toEqual(listedBefore);
    expect(await place(literal)).toEqual(literalBefore);
    expect(bouncer.logCount(/C-.*closing because: (?!client close request)/)).toBe(0);
  });

  test("a zone whose serial grows is followed without anybody asking", async () => {
    const bouncer = await start({ shop: at(HOST) }, { dns_max_ttl: 3600, dns_zone_check_period: 0.3 });
    const client = await connect(bouncer, "shop");
    expect((await place(client)).address).toBe(ONE);
    await bouncer.waitForLog(/LOG zone 'shop\.test' serial changed: old=0 new=1/);
    dns.names.set(HOST, { v4: [TWO] });
    dns.names.set("shop.test", { serial: 2 });
    await bouncer.waitForLog(/zone 'shop\.test' serial changed: old=1 new=2/);
    await bouncer.waitForLog(/S-.*@127\.0\.0\.1:.*closing because: database configuration changed/);
    expect((await place(client)).address).toBe(TWO);
    expect(await bouncer.admin("SHOW DNS_ZONES")).toEqual([{ zonename: "shop.test", serial: 2, count: 1 }]);
    const asked = dns.asked(HOST);
    await waitFor("another check", () => dns.asked("shop.test", "SOA") >= 5);
    expect(dns.asked(HOST)).toBe(asked);
  });

  test("servers that are lost make the name be asked for again, however long it counts still", async () => {
    const bouncer = await start({ shop: at(HOST) }, { dns_max_ttl: 3600 });
    const client = await connect(bouncer, "shop");
    const before = await place(client);
    expect(before.address).toBe(ONE);
    dns.names.set(HOST, { v4: [TWO] });
    await cluster.query("select pg_terminate_backend($1)", [before.pid]);
    await bouncer.waitForLog(/S-.*closing because: /);
    // An answer is believed for a second whatever happens: thousands may be lost at once.
    await waitFor("the new address", async () => {
      const [now = ""] = await places(bouncer, "shop", 1);
      if (now === ONE)
        await cluster.query(
          "select pg_terminate_backend(pid) from pg_stat_activity where datname = 'postgres' and client_addr is not null",
        );
      return now === TWO;
    });
    expect(dns.asked(HOST)).toBe(2);
  });
});

describe("resolv_conf", () => {
  test("one that cannot be read, or says nothing, is refused at start", async () => {
    const missing = await Bouncer.startAndFail({ settings: { resolv_conf: "/nowhere/resolv.conf" } });
    expect(missing.status).toBe(1);
    expect(missing.output).toMatch(/FATAL could not open resolv_conf \/nowhere\/resolv\.conf: No such file/);
    writeFileSync(resolvConf, "search shop.test\nnameserver ns.example\noptions timeout:long\n");
    const wrong = await Bouncer.startAndFail({ settings: { resolv_conf: resolvConf } });
    expect(wrong.status).toBe(1);
    expect(wrong.output).toContain(
      `FATAL resolv_conf: invalid nameserver "ns.example" (${resolvConf}:2); invalid option "timeout:long" (${resolvConf}:3)`,
    );
    writeFileSync(resolvConf, "# nothing\n");
    const empty = await Bouncer.startAndFail({ settings: { resolv_conf: resolvConf } });
    expect(empty.output).toContain(`FATAL resolv_conf: no nameserver (${resolvConf})`);
  });

  test("the hosts file and search domains count; without the setting the system's resolver does", async () => {
    const bouncer = await start({ local: at("localhost"), short: at("db") });
    expect(await places(bouncer, "local", 1)).toEqual([ONE]);
    expect(await places(bouncer, "short", 1)).toEqual([ONE]);
    expect(dns.questions.map(({ name }) => name)).not.toContain("localhost");
    expect(dns.asked(HOST)).toBe(1);
    const system = await start({ local: at("localhost"), shop: at(HOST) }, { resolv_conf: "" });
    expect(await places(system, "local", 1)).toEqual([ONE]);
    expect(dns.asked(HOST)).toBe(1);
  });
});

test("names in listen_addr: all addresses of one, and a name that nobody knows is a warning", async () => {
  const bouncer = await start({ shop: at(ONE) }, { listen_addr: "no-such-host.invalid, localhost" });
  expect(bouncer.log()).toMatch(/WARNING cannot resolve no-such-host\.invalid: /);
  expect(bouncer.log()).toMatch(/LOG listening on 127\.0\.0\.1:/);
  expect(await places(bouncer, "shop", 1)).toEqual([ONE]);
  const failed = await Bouncer.startAndFail({ settings: { listen_addr: "no-such-host.invalid" } });
  expect(failed.output).toContain("FATAL failed to listen on any address in listen_addr list: no-such-host.invalid");
});
