/** The start of the process: everything that may be in its way, in PgBouncer's words and with exit status 1. */
import { spawn, spawnSync } from "node:child_process";
import { chmodSync, existsSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { findFreePort } from "../../src/demo/free-port.ts";
import { makeTemporaryFolder } from "../../src/demo/temporary-folder.ts";
import { unprivilegedUser } from "../../src/demo/unprivileged-user.ts";
import { Bouncer } from "../support/bouncer.ts";
import type { BouncerOptions } from "../support/bouncer.ts";
import { waitFor } from "../support/wait-for.ts";
import { query, WireClient } from "../support/wire-client.ts";

const executable = join(dirname(dirname(dirname(fileURLToPath(import.meta.url)))), "bin", "pgcarpool");
const user = unprivilegedUser();

let folder: string;
let port: number;
let deadPid: number;
beforeAll(() => {
  deadPid = spawnSync("/bin/true").pid;
});
beforeEach(async () => {
  folder = makeTemporaryFolder("pgc-s-", user);
  port = await findFreePort();
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const socketOf = (): string => join(folder, `.s.PGSQL.${port}`);

/** Starts with these settings, in a place of this test; it must not come up. */
async function refusal(settings: BouncerOptions["settings"], options: BouncerOptions = {}): Promise<string> {
  const exit = await Bouncer.startAndFail({
    ...options,
    settings: { listen_port: port, unix_socket_dir: folder, ...settings },
  });
  expect(exit.output).not.toMatch(/process up/);
  expect([exit.status, exit.signal]).toEqual([1, null]);
  return exit.output;
}

/** The last FATAL line. */
const fatal = (output: string): string | undefined => [...output.matchAll(/ FATAL (.*)/g)].at(-1)?.[1];

describe("nothing to listen on", () => {
  test("nowhere to listen on", async () => {
    expect(fatal(await refusal({ listen_addr: "", unix_socket_dir: "" }))).toBe("nowhere to listen on");
  });

  test("no address can be listened on", async () => {
    const other = createServer().listen({ host: "127.0.0.1", port });
    await waitFor("the port", () => other.listening);
    const output = await refusal({ listen_addr: "127.0.0.1" });
    expect(output).toContain(`WARNING cannot listen on 127.0.0.1:${port}: bind(): Address already in use`);
    expect(fatal(output)).toBe("failed to listen on any address in listen_addr list: 127.0.0.1");
    other.close();
  });

  test("one address that cannot be had is a warning", async () => {
    const bouncer = await Bouncer.start({ settings: { listen_addr: "192.0.2.1, 127.0.0.1" } });
    expect(bouncer.log()).toContain(
      `WARNING cannot listen on 192.0.2.1:${bouncer.port}: bind(): Cannot assign requested address`,
    );
    expect(bouncer.log()).toContain(`LOG listening on 127.0.0.1:${bouncer.port}`);
    await bouncer.stop();
  });

  test("all addresses, the sixth version in brackets", async () => {
    const bouncer = await Bouncer.start({ settings: { listen_addr: "*" } });
    expect(bouncer.log()).toContain(`LOG listening on 0.0.0.0:${bouncer.port}`);
    expect(bouncer.log()).toMatch(/ listening on \[::\]:\d+$| cannot listen on \[::\]:\d+: bind\(\): /m);
    await bouncer.stop();
  });
});

describe("the Unix socket", () => {
  test("of somebody who lives", async () => {
    const bouncer = await Bouncer.start({ settings: { listen_port: port, unix_socket_dir: folder } }).catch(() => null);
    // The harness asks for the socket in its own folder; only whether it serves counts here.
    expect(bouncer).not.toBeNull();
    expect(fatal(await refusal({ listen_addr: "" }))).toBe("unix socket is in use, cannot continue");
    await bouncer?.stop();
  });

  test("beside a lock file, PostgreSQL's", async () => {
    writeFileSync(`${socketOf()}.lock`, "");
    expect(fatal(await refusal({ listen_addr: "" }))).toBe(`unix port ${port} is in use`);
    expect(existsSync(`${socketOf()}.lock`)).toBe(true);
  });

  test.each([
    ["a dead socket", () => void spawnSync(process.execPath, ["-e", deadSocket, socketOf()])],
    ["a link to nowhere", () => symlinkSync(join(folder, "nowhere"), socketOf())],
    ["a file", () => writeFileSync(socketOf(), "")],
  ])("replaces %s", async (_what, leave) => {
    leave();
    const bouncer = await Bouncer.start({ settings: { listen_port: port, unix_socket_dir: folder } });
    expect(bouncer.log()).toContain(`LOG listening on unix:${socketOf()}`);
    expect(statSync(socketOf()).isSocket()).toBe(true);
    await bouncer.stop();
    expect(existsSync(socketOf())).toBe(false);
  });

  test("in a folder that is not there", async () => {
    const path = join(folder, "no", `.s.PGSQL.${port}`);
    const output = await refusal({ unix_socket_dir: join(folder, "no") });
    expect(output).toMatch(new RegExp(`WARNING cannot listen on unix:${path}: bind\\(\\): \\w+`));
    expect(fatal(output)).toBe("failed to create unix socket");
  });

  test("in the abstract namespace", async () => {
    const name = `@${folder.slice(1)}`;
    const bouncer = await Bouncer.start({ settings: { listen_port: port, unix_socket_dir: name } });
    expect(bouncer.log()).toContain(`LOG listening on unix:${name}/.s.PGSQL.${port}`);
    const probe = connect(`\0${name.slice(1)}/.s.PGSQL.${port}`);
    await new Promise((resolve, reject) => probe.once("connect", resolve).once("error", reject));
    probe.destroy();
    expect(fatal(await refusal({ listen_addr: "", unix_socket_dir: name }))).toBe(
      "unix socket is in use, cannot continue",
    );
    await bouncer.stop();
  });

  test.each([
    ["0700", 0o700],
    ["384", 0o600],
  ])("with mode %s", async (mode, expected) => {
    const bouncer = await Bouncer.start({ settings: { unix_socket_mode: mode } });
    expect(statSync(join(bouncer.folder, `.s.PGSQL.${bouncer.port}`)).mode & 0o777).toBe(expected);
    await bouncer.stop();
  });

  test("with a group, by number and by name", async () => {
    const { gid } = statSync(folder);
    const name = spawnSync("id", ["-gn", ...(user === null ? [] : [user.name])], { encoding: "utf8" }).stdout.trim();
    for (const group of [String(gid), name]) {
      const bouncer = await Bouncer.start({ settings: { unix_socket_group: group } });
      expect(statSync(join(bouncer.folder, `.s.PGSQL.${bouncer.port}`)).gid).toBe(gid);
      await bouncer.stop();
    }
  });

  test("with a group that is not there, and one that we are not in", async () => {
    expect(fatal(await refusal({ unix_socket_group: "no-such-group" }))).toMatch(
      /^could not find group 'no-such-group'/,
    );
    expect(fatal(await refusal({ unix_socket_group: "0" }))).toBe(
      `chown(${socketOf()}, -1, 0) failed: Operation not permitted`,
    );
  });
});

const deadSocket = "require('net').createServer().listen(process.argv[1], () => process.kill(process.pid, 9))";

describe("the pidfile", () => {
  const pidfile = (): string => join(folder, "pid");

  test("is written with mode 0644 and removed at the end", async () => {
    const bouncer = await Bouncer.start({ settings: { pidfile: pidfile() } });
    expect(readFileSync(pidfile(), "utf8")).toBe(`${bouncer.pid}\n`);
    expect(statSync(pidfile()).mode & 0o777).toBe(0o644);
    bouncer.signal("SIGTERM");
    expect(await bouncer.exited).toEqual({ status: 0, signal: null });
    expect(existsSync(pidfile())).toBe(false);
    await bouncer.stop();
  });

  test("of a process that has ended is no obstacle", async () => {
    writeFileSync(pidfile(), `${deadPid}\n`);
    chmodSync(pidfile(), 0o666);
    const bouncer = await Bouncer.start({ settings: { pidfile: pidfile() } });
    expect(bouncer.log()).toContain("LOG stale pidfile, removing");
    expect(readFileSync(pidfile(), "utf8")).toBe(`${bouncer.pid}\n`);
    await bouncer.stop();
  });

  test.each([
    ["a process that lives", () => `${process.pid}\n`],
    ["no number", () => "what?\n"],
    ["nothing", () => ""],
  ])("with %s is", async (_what, content) => {
    writeFileSync(pidfile(), content());
    const text = `pidfile '${pidfile()}' exists, another instance running?`;
    expect(fatal(await refusal({ pidfile: pidfile() }))).toBe(text);
    expect(readFileSync(pidfile(), "utf8")).toBe(content());
  });

  test("that cannot be read, or made", async () => {
    expect(fatal(await refusal({ pidfile: folder }))).toMatch(/^could not (open|read) pidfile '.*': Is a directory$/);
    const path = join(folder, "no", "pid");
    expect(fatal(await refusal({ pidfile: path }))).toBe(`could not open pidfile '${path}': No such file or directory`);
  });
});

describe("the log file", () => {
  test("that cannot be opened", async () => {
    const path = join(folder, "no", "log");
    expect(await refusal({ logfile: path })).toContain(`Cannot open logfile: '${path}': No such file or directory`);
  });
});

describe("the configuration", () => {
  test("that is not there, and that is wrong", async () => {
    const missing = spawnSync(executable, ["-q", join(folder, "no.ini")], { encoding: "utf8" });
    expect(missing.status).toBe(1);
    expect(fatal(missing.stderr)).toBe("cannot load config file");
    expect(await refusal({ no_such_setting: "1" })).toContain("FATAL cannot load config file");
  });

  test("with TLS files that are not there", async () => {
    const output = await refusal({
      client_tls_sslmode: "require",
      client_tls_key_file: join(folder, "no.key"),
      client_tls_cert_file: join(folder, "no.crt"),
    });
    expect(fatal(output)).toMatch(/^TLS setup failed/);
  });
});

describe("the user", () => {
  test("that is not there", async () => {
    expect(fatal(await refusal({ user: "no-such-user" }))).toBe("could not find user 'no-such-user' to switch to");
  });

  test.skipIf(user === null)("may not be root", () => {
    const ini = join(folder, "root.ini");
    writeFileSync(
      ini,
      `[databases]\n[pgbouncer]\nauth_type = trust\nauth_file = ${ini}\nunix_socket_dir = ${folder}\n`,
    );
    const root = spawnSync(executable, [ini], { encoding: "utf8" });
    expect([root.status, fatal(root.stderr)]).toEqual([1, "PgBouncer should not run as root"]);
  });

  test.skipIf(user !== null)("that we may not become", async () => {
    expect(fatal(await refusal({ user: "root" }))).toMatch(/^failed to assume identity of user 'root': /);
  });
});

describe("the command line", () => {
  const run = (...args: string[]) => spawnSync(executable, args, { encoding: "utf8" });

  test("exactly one configuration file", () => {
    const { status, stderr, stdout } = run("a.ini", "b.ini");
    expect([status, stdout]).toEqual([1, ""]);
    expect(stderr).toBe('pgcarpool: no configuration file specified\nTry "pgcarpool --help" for more information.\n');
  });

  test("--version: PgBouncer's lines at their places", () => {
    const { status, stderr, stdout } = run("--version", "--ignored-behind-it");
    expect([status, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(
      /^PgBouncer 1\.25\.2.*\nlibevent .+\nadns: .+\ntls: (OpenSSL|BoringSSL) .+\nsystemd: yes\n$/,
    );
  });

  test("--help: the usage, to stdout", () => {
    const { status, stderr, stdout } = run("--help");
    expect([status, stderr]).toEqual([0, ""]);
    expect(stdout).toContain("-R, --reboot");
  });
});

describe("a daemon", () => {
  test("needs a pidfile", async () => {
    expect(fatal(await refusal({}, { args: ["-d"] }))).toBe("daemon needs pidfile configured");
  });

  test("outlives its starter, has no terminal, writes its own pidfile, and ends by signal", async () => {
    const [ini, log, pidfile] = [join(folder, "d.ini"), join(folder, "d.log"), join(folder, "d.pid")];
    writeFileSync(
      ini,
      `[databases]\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = ${port}\nunix_socket_dir = ${folder}\n` +
        `auth_type = trust\nauth_file = ${ini}\npidfile = ${pidfile}\nlogfile = ${log}\n`,
    );
    const starter = spawn(executable, ["-d", ...(user === null ? [] : ["-u", user.name]), ini], { stdio: "ignore" });
    const status = await new Promise((resolve) => starter.once("exit", resolve));
    expect(status).toBe(0);
    await waitFor("the daemon", () => existsSync(log) && / process up: /.test(readFileSync(log, "utf8")), 20_000);
    const pid = Number(readFileSync(pidfile, "utf8"));
    try {
      expect(pid).not.toBe(starter.pid);
      // pid (name) state parent group session terminal
      const [, , , session, terminal] = readFileSync(`/proc/${pid}/stat`, "latin1")
        .replace(/^.*\) /, "")
        .split(" ");
      expect([Number(session) > 0, terminal]).toEqual([true, "0"]);
      const client = await WireClient.open({ port });
      client.destroy();
    } finally {
      process.kill(pid, "SIGTERM");
    }
    await waitFor("its end", () => !existsSync(pidfile));
    expect(readFileSync(log, "utf8")).toMatch(/got SIGTERM, shutting down, waiting for all clients disconnect/);
  });
});

describe("signals", () => {
  let bouncer: Bouncer;
  beforeAll(async () => {
    bouncer = await Bouncer.start({});
  });
  afterAll(() => bouncer?.stop());

  test("USR1 and USR2 say what they find", async () => {
    const steps: [NodeJS.Signals, RegExp][] = [
      ["SIGUSR2", /got SIGUSR2, but not paused\/suspended/],
      ["SIGUSR1", /got SIGUSR1, pausing all activity/],
      ["SIGUSR1", /got SIGUSR1, but already paused\/suspended/],
      ["SIGUSR2", /got SIGUSR2, continuing from PAUSE/],
    ];
    for (const [signal, pattern] of steps) {
      bouncer.signal(signal);
      await bouncer.waitForLog(pattern);
    }
    const console = await WireClient.login(
      { port: bouncer.port, socketFolder: bouncer.folder },
      { user: "console", database: "pgbouncer" },
    );
    console.send(query("SUSPEND"));
    await console.until("Z");
    bouncer.signal("SIGUSR2");
    await bouncer.waitForLog(/got SIGUSR2, continuing from SUSPEND/);
    console.end();
  });

  test("INT and TERM while suspended end the process at once", async () => {
    const console = await WireClient.login(
      { port: bouncer.port, socketFolder: bouncer.folder },
      { user: "console", database: "pgbouncer" },
    );
    console.send(query("SUSPEND"));
    await console.until("Z");
    bouncer.signal("SIGTERM");
    expect(await bouncer.exited).toEqual({ status: 1, signal: null });
    expect(fatal(bouncer.log())).toBe("suspend was in progress, going down immediately");
    console.destroy();
  });
});
