/**
 * Under a service manager, played by the test: what it is told, the sockets it opened, its journal, and syslog beside it.
 */
import { chmodSync, closeSync, openSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { makeTemporaryFolder } from "../../src/demo/temporary-folder.ts";
import { unprivilegedUser } from "../../src/demo/unprivileged-user.ts";
import { loadLibc } from "../../src/net/libc.ts";
import { UnixDatagram } from "../../src/net/unix-datagram.ts";
import { Bouncer } from "../support/bouncer.ts";
import type { BouncerOptions } from "../support/bouncer.ts";
import { waitFor } from "../support/wait-for.ts";
import { query, startupMessage, types, WireClient } from "../support/wire-client.ts";

const libc = loadLibc();
let folder: string;
const undo: (() => unknown)[] = [];

beforeEach(() => {
  folder = makeTemporaryFolder("pgc-m-", unprivilegedUser());
});
afterEach(async () => {
  for (const task of undo.splice(0).reverse()) await task();
  rmSync(folder, { recursive: true, force: true });
});

async function start(options: BouncerOptions): Promise<Bouncer> {
  const bouncer = await Bouncer.start(options);
  undo.push(() => bouncer.stop());
  return bouncer;
}

/** Receives at an address that everybody may send to, and remembers all. */
class Receiver {
  readonly messages: string[] = [];
  readonly #socket: UnixDatagram;

  constructor(address: string) {
    const socket = UnixDatagram.open(libc, address);
    if (socket === null) throw new Error(`cannot receive at ${address}`);
    if (!address.startsWith("@")) chmodSync(address, 0o777);
    this.#socket = socket;
    undo.push(() => socket.close());
  }

  /** All so far. */
  get all(): readonly string[] {
    for (let next = this.#socket.receive(); next !== null; next = this.#socket.receive()) {
      this.messages.push(Buffer.from(next).toString());
    }
    return this.messages;
  }

  find(pattern: RegExp): Promise<string> {
    return waitFor(`${String(pattern)} among the messages`, () => this.all.find((message) => pattern.test(message)));
  }
}

/** Has the shell set variables that only the pooler's own process can know, and become the pooler. */
const launcher = (variables: string): readonly string[] => ["/bin/sh", "-c", `${variables} exec "$@"`, "sh"];

describe("the service manager is told", () => {
  test.each([
    ["by path", () => join(folder, "notify")],
    ["by abstract name", () => `@pgcarpool/notify/${process.pid}`],
  ])("%s: ready, figures, reloads, the end", async (_name, where) => {
    const address = where();
    const receiver = new Receiver(address);
    const before = libc.monotonicUs() ?? 0n;
    const bouncer = await start({ env: { NOTIFY_SOCKET: address }, settings: { stats_period: 1, log_stats: 0 } });
    await receiver.find(/^READY=1$/);
    expect(receiver.all[0]).toBe("READY=1");

    const figures = await receiver.find(/^STATUS=/);
    expect(figures).toMatch(
      /^STATUS=stats: 0 xacts\/s, 0 queries\/s, 0 client parses\/s, 0 server parses\/s, 0 binds\/s, \d+ client logins\/s, in \d+ B\/s, out \d+ B\/s, xact 0 μs, query 0 μs, wait 0 μs$/,
    );
    expect(bouncer.logContains(/stats: /)).toBe(false);

    bouncer.signal("SIGHUP");
    const reloading = await receiver.find(/^RELOADING=1/);
    const us = BigInt(/^RELOADING=1\nMONOTONIC_USEC=(\d+)$/.exec(reloading)?.[1] ?? "0");
    expect(us > before && us < (libc.monotonicUs() ?? 0n)).toBe(true);
    await waitFor("ready again", () => receiver.all.filter((message) => message === "READY=1").length === 2);

    bouncer.signal("SIGTERM");
    expect(await bouncer.exited).toEqual({ status: 0, signal: null });
    const order = receiver.all
      .filter((message) => !message.startsWith("STATUS="))
      .map((message) => message.split("\n")[0]);
    expect(order).toEqual(["READY=1", "RELOADING=1", "READY=1", "STOPPING=1"]);
  });

  test("nobody listens: the pooler does not care", async () => {
    const bouncer = await start({ env: { NOTIFY_SOCKET: join(folder, "nobody") } });
    bouncer.signal("SIGHUP");
    await bouncer.waitForLog(/got SIGHUP, re-reading config/);
    await bouncer.admin("SHOW VERSION");
  });
});

describe("sockets of the service manager", () => {
  /** A socket that listens, in a state as systemd passes it on: nobody accepts. Returns its descriptor. */
  async function listening(at: { host: string; port: number } | { path: string }): Promise<[number, number]> {
    const server = createServer().listen(at);
    await waitFor("the socket", () => server.listening);
    const { _handle: handle } = server as unknown as { readonly _handle: { readonly fd: number } };
    const fd = libc.duplicate(handle.fd);
    undo.push(() => closeSync(fd));
    const address = server.address();
    // A Unix socket's file would go with the server.
    if ("path" in at) renameSync(at.path, `${at.path}.kept`);
    server.close();
    if ("path" in at) {
      renameSync(`${at.path}.kept`, at.path);
      chmodSync(at.path, 0o777);
    }
    return [fd, typeof address === "object" && address !== null ? address.port : 0];
  }

  const consoleLogin = { user: "console", database: "pgbouncer" };
  const ask = async (client: WireClient): Promise<string> => {
    client.send(query("SHOW VERSION"));
    const answer = types(await client.until("Z"));
    client.end();
    return answer;
  };

  test("are used instead of the configuration's, and outlive the pooler", async () => {
    const [tcp, port] = await listening({ host: "127.0.0.1", port: 0 });
    const path = join(folder, ".s.PGSQL.7777");
    const [unix] = await listening({ path });
    const options = { descriptors: [tcp, unix], launcher: launcher("LISTEN_PID=$$ LISTEN_FDS=2") };
    const bouncer = await start(options);
    expect(bouncer.log()).toMatch(
      /WARNING sockets passed from service manager, cf_listen_addr ignored\n.*WARNING sockets passed from service manager, cf_unix_socket_dir ignored\n.*LOG socket passed from service manager \(fd 3\)\n.*LOG socket passed from service manager \(fd 4\)\n/,
    );
    expect(bouncer.log()).not.toContain("listening on");
    await expect(WireClient.open({ port: bouncer.port })).rejects.toThrow(/ECONNREFUSED/);

    const overTcp = await WireClient.login({ port }, consoleLogin);
    const overUnix = await WireClient.login({ port: 7777, socketFolder: folder }, consoleLogin);
    overTcp.send(query("SHOW CLIENTS"));
    const clients = Buffer.concat((await overTcp.until("Z")).map(({ body }) => body)).toString("latin1");
    expect(clients).toContain("127.0.0.1");
    expect(clients).toContain("unix");
    expect([await ask(overTcp), await ask(overUnix)]).toEqual(["TDCZ", "TDCZ"]);

    bouncer.signal("SIGTERM");
    expect(await bouncer.exited).toEqual({ status: 0, signal: null });
    // Nobody is there, and yet nobody is refused: whoever comes now waits for the next process.
    const early = await Promise.all([WireClient.open({ port }), WireClient.open({ port: 7777, socketFolder: folder })]);
    const next = await start(options);
    for (const client of early) {
      client.send(startupMessage(consoleLogin));
      expect(types(await client.until("Z"))).toMatch(/^RS+KZ$/);
      client.end();
    }
    expect(next.logCount(/socket passed from service manager \(fd/)).toBe(2);
  });

  test("of another process are not ours", async () => {
    const bouncer = await start({ env: { LISTEN_FDS: "1", LISTEN_PID: "1" } });
    expect(bouncer.log()).toContain(`listening on 127.0.0.1:${bouncer.port}`);
  });

  test("do not go with -R", async () => {
    const [tcp] = await listening({ host: "127.0.0.1", port: 0 });
    const exit = await Bouncer.startAndFail({
      args: ["-R"],
      descriptors: [tcp],
      launcher: launcher("LISTEN_PID=$$ LISTEN_FDS=1"),
    });
    expect(exit.status).toBe(1);
    expect(exit.output).toContain("FATAL cannot reboot under service manager");
  });

  test("that are none", async () => {
    const file = join(folder, "file");
    writeFileSync(file, "");
    const fd = openSync(file, "r");
    undo.push(() => closeSync(fd));
    const exit = await Bouncer.startAndFail({ descriptors: [fd], launcher: launcher("LISTEN_PID=$$ LISTEN_FDS=1") });
    expect(exit.status).toBe(1);
    expect(exit.output).toContain("FATAL failed to set up socket passed from service manager (fd 3)");
  });
});

describe("stderr", () => {
  const stderrIs = (file: string): readonly string[] => launcher(`JOURNAL_STREAM=$(stat -L -c %d:%i ${file})`);
  const plainLine = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \S+ \[\d+\] LOG process up: /m;

  test("that is the journal gets priorities, and no time of ours", async () => {
    const bouncer = await start({ loud: true, launcher: stderrIs("/proc/self/fd/2") });
    bouncer.signal("SIGHUP");
    await waitFor("the line", () => /^<6>got SIGHUP, re-reading config$/m.test(bouncer.output()));
    expect(bouncer.output()).toMatch(/^<6>process up: PgBouncer/m);
    expect(
      bouncer
        .output()
        .split("\n")
        .filter((line) => line !== "" && !/^<[2-7]>/.test(line)),
    ).toEqual([]);
    // The log file is as ever.
    expect(bouncer.log()).toMatch(plainLine);
  });

  test("that was redirected since is a file", async () => {
    const bouncer = await start({ loud: true, launcher: stderrIs("/dev/null") });
    expect(bouncer.output()).toMatch(plainLine);
  });

  test("is silent with -q", async () => {
    const bouncer = await start({ launcher: stderrIs("/proc/self/fd/2") });
    expect(bouncer.output()).toBe("");
  });
});

test("syslog: from SET and RELOAD on, through a daemon that comes and goes", async () => {
  const address = join(folder, "log");
  const settings = { syslog: 0, verbose: 2 };
  const bouncer = await start({ env: { PGCARPOOL_SYSLOG_SOCKET: address }, settings });
  const first = new Receiver(address);
  await bouncer.admin("SHOW VERSION");
  expect(first.all).toEqual([]);

  await bouncer.admin("SET syslog = 1");
  await bouncer.admin("SHOW VERSION");
  const line = await first.find(/login attempt: db=pgbouncer user=console/);
  expect(line).toMatch(
    /^<30>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d pgbouncer\[\d+\]: C-0x[0-9a-f]+: pgbouncer\/console@/,
  );
  expect(line).toContain(`pgbouncer[${bouncer.pid}]: `);
  expect(first.all.filter((message) => /got admin query|new fd from accept/.test(message))).toEqual([]);
  expect(bouncer.log()).toContain("DEBUG got admin query: SHOW VERSION");

  await bouncer.reload({ settings: { ...settings, syslog: 1, syslog_ident: "my pooler", syslog_facility: "local5" } });
  await expect(bouncer.admin("SET no_such_setting = 1")).rejects.toThrow();
  const error = await first.find(/unknown configuration parameter|no_such_setting|SET failed/);
  expect(error).toMatch(/^<17[12]>.* my pooler\[\d+\]: /);

  rmSync(address);
  await bouncer.admin("SHOW VERSION");
  const second = new Receiver(address);
  await bouncer.admin("SHOW VERSION");
  await second.find(/^<174>.* my pooler\[\d+\]: .*login attempt/);

  await bouncer.admin("SET syslog = 0");
  const count = second.all.length;
  await bouncer.admin("SHOW VERSION");
  expect(second.all.length).toBe(count);
});
