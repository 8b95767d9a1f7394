/** Descriptors run out: accepting rests for five seconds, waiting clients stay in the queue, and nothing spins. */
import { readFileSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { Bouncer } from "../support/bouncer.ts";
import { waitFor } from "../support/wait-for.ts";
import { startupMessage, types, WireClient } from "../support/wire-client.ts";

const limit = 64;
const paused = /ERROR accept\(\) failed: Too many open files/;

let bouncer: Bouncer | undefined;
const clients: WireClient[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  await bouncer?.stop();
});

/** CPU time the process has used, in seconds. */
function cpuSeconds(pid: number): number {
  const ticksPerSecond = 100;
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1")
    .replace(/^.*\) /, "")
    .split(" ");
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

const login = startupMessage({ user: "console", database: "pgbouncer" });

test.each(["TCP", "Unix"])(
  "by clients over %s",
  async (family) => {
    bouncer = await Bouncer.start({
      launcher: ["/bin/sh", "-c", `ulimit -n ${limit}; exec "$@"`, "sh"],
      settings: { max_client_conn: 1000, tcp_defer_accept: 0, unix_socket_mode: "0750" },
    });
    const { folder, pid, port } = bouncer;
    expect(bouncer.log()).toContain(`kernel file descriptor limit: ${limit} (hard: ${limit});`);
    const at = family === "TCP" ? { port } : { port, socketFolder: folder };

    // More than fit: the rest is in the kernel's queue.
    for (let count = 0; count < limit + 10; count++) clients.push(await WireClient.open(at));
    await bouncer.waitForLog(paused);
    const used = readdirSync(`/proc/${pid}/fd`).length;
    expect(used).toBeLessThan(limit);

    // Those who are in are served meanwhile, and one who is not waits.
    clients[0]?.send(login);
    expect(types((await clients[0]?.until("Z")) ?? [])).toMatch(/^RS+KZ$/);
    const last = clients.at(-1);
    last?.send(login);
    const before = cpuSeconds(pid);
    const beforeMs = performance.now();
    await waitFor("the second look, still without room", () => (bouncer?.logCount(paused) ?? 0) > 1, 20_000);
    const elapsedS = (performance.now() - beforeMs) / 1000;
    expect(elapsedS).toBeGreaterThan(3);
    expect(cpuSeconds(pid) - before).toBeLessThan(elapsedS * 0.3);
    expect(readdirSync(`/proc/${pid}/fd`).length).toBeLessThan(limit);

    // Room again: all who waited come in, in time, by the doors of before.
    for (const client of clients.splice(0, limit)) client.destroy();
    expect(types((await last?.until("Z")) ?? [])).toMatch(/^RS+KZ$/);
    const client = await WireClient.login(at, { user: "console", database: "pgbouncer" });
    client.end();
    expect(statSync(join(folder, `.s.PGSQL.${port}`)).mode & 0o777).toBe(0o750);
    expect(readdirSync(folder).filter((name) => name.startsWith(".s."))).toEqual([`.s.PGSQL.${port}`]);
  },
  60_000,
);

test("a shutdown while accepting rests", async () => {
  bouncer = await Bouncer.start({ launcher: ["/bin/sh", "-c", `ulimit -n ${limit}; exec "$@"`, "sh"] });
  for (let count = 0; count < limit; count++) clients.push(await WireClient.open({ port: bouncer.port }));
  await bouncer.waitForLog(paused);
  bouncer.signal("SIGTERM");
  await bouncer.waitForLog(/got SIGTERM, shutting down/);
  await expect(WireClient.open({ port: bouncer.port })).rejects.toThrow(/ECONNREFUSED/);
  for (const client of clients.splice(0)) client.destroy();
  expect(await bouncer.exited).toEqual({ status: 0, signal: null });
  expect(readdirSync(bouncer.folder).filter((name) => name.startsWith(".s."))).toEqual([]);
});
