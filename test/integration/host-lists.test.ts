/**
 * Lists of hosts: which of them a connection goes to, with `load_balance_hosts` round-robin and disable, and what happens
 * when one is down. Names, addresses and directories of Unix sockets may stand side by side.
 */
import type { Client } from "pg";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { EmbeddedPostgres } from "../../src/demo/embedded-postgres.ts";
import { Bouncer } from "../support/bouncer.ts";

const ONE = "127.0.0.1";
const TWO = "127.0.0.2";
/** Nobody listens there. */
const DOWN = "127.0.0.3";

let cluster: EmbeddedPostgres;
const bouncers: Bouncer[] = [];
const clients: Client[] = [];

beforeAll(async () => {
  cluster = await EmbeddedPostgres.start({
    settings: { listen_addresses: `${ONE},${TWO}` },
    hba: "local all all trust\nhost all all 127.0.0.0/8 trust",
  });
});

afterEach(async () => {
  for (const client of clients.splice(0)) await client.end().catch(() => undefined);
  for (const bouncer of bouncers.splice(0)) await bouncer.stop();
});

afterAll(async () => {
  await cluster?.stop();
});

async function start(hosts: string, more = ""): Promise<Bouncer> {
  const bouncer = await Bouncer.start({
    databases: { shop: `host=${hosts} port=${cluster.port} dbname=postgres ${more}` },
    userlist: { postgres: "", locked: "" },
    settings: { pool_mode: "transaction", server_tls_sslmode: "disable", server_login_retry: 0.2 },
  });
  bouncers.push(bouncer);
  return bouncer;
}

/** Where the servers of so many clients are, one after the other; "unix" for a socket. */
async function places(bouncer: Bouncer, count: number): Promise<readonly string[]> {
  const addresses: string[] = [];
  for (let i = 0; i < count; i += 1) {
    const client = await bouncer.connect({ database: "shop" });
    clients.push(client);
    await client.query("begin");
    const { rows } = await client.query<{ address: string }>(
      "select coalesce(host(inet_server_addr()), 'unix') as address",
    );
    addresses.push(rows[0]?.address ?? "");
  }
  return addresses;
}

test("round-robin begins with the first and takes all in turn", async () => {
  const bouncer = await start(`${ONE},${TWO},${cluster.socketFolder}`);
  expect(await places(bouncer, 5)).toEqual([ONE, TWO, "unix", ONE, TWO]);
  expect((await bouncer.admin("SHOW DATABASES")).find(({ name }) => name === "shop")).toMatchObject({
    load_balance_hosts: "round-robin",
  });
});

test("round-robin goes on to the next when one is down", async () => {
  const bouncer = await start(`${DOWN},${TWO}`);
  expect(await places(bouncer, 2)).toEqual([TWO, TWO]);
  expect(bouncer.logCount(/@127\.0\.0\.3:.*closing because: connect failed/)).toBe(2);
});

test("disable stays with the first as long as it is up", async () => {
  const bouncer = await start(`${ONE},${DOWN}`, "load_balance_hosts=disable");
  expect(await places(bouncer, 3)).toEqual([ONE, ONE, ONE]);
  expect(bouncer.logCount(/closing because/)).toBe(0);
});

test("disable goes to the next when a connect fails, and stays there", async () => {
  const bouncer = await start(`no-such-host.invalid,${ONE},${TWO}`, "load_balance_hosts=disable");
  expect(await places(bouncer, 3)).toEqual([ONE, ONE, ONE]);
  expect(bouncer.logCount(/closing because: server DNS lookup failed/)).toBe(1);
});

test("disable passes over all that are down", async () => {
  const bouncer = await start(`${DOWN},${DOWN},${TWO}`, "load_balance_hosts=disable");
  expect(await places(bouncer, 2)).toEqual([TWO, TWO]);
  expect(bouncer.logCount(/closing because: connect failed/)).toBe(2);
});

test("a reload that changes load_balance_hosts is shown and followed", async () => {
  const bouncer = await start(`${ONE},${TWO}`, "load_balance_hosts=disable");
  expect(await places(bouncer, 2)).toEqual([ONE, ONE]);
  for (const client of clients) await client.query("commit");
  await bouncer.reload({
    databases: { shop: `host=${ONE},${TWO} port=${cluster.port} dbname=postgres load_balance_hosts=round-robin` },
  });
  expect((await bouncer.admin("SHOW DATABASES")).find(({ name }) => name === "shop")).toMatchObject({
    load_balance_hosts: "round-robin",
  });
  expect((await places(bouncer, 2)).toSorted()).toEqual([ONE, TWO]);
});
