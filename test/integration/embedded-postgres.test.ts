/** The cluster under the tests: what it promises to them, and that nothing of it stays behind. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { Client } from "pg";
import { afterEach, expect, test } from "vitest";
import { EmbeddedPostgres } from "../../src/demo/embedded-postgres.ts";
import { isRunning } from "../../src/demo/processes.ts";
import { waitFor } from "../support/wait-for.ts";

const running: EmbeddedPostgres[] = [];

afterEach(async () => {
  await Promise.all(running.splice(0).map((cluster) => cluster.stop()));
});

async function start(options?: Parameters<typeof EmbeddedPostgres.start>[0]): Promise<EmbeddedPostgres> {
  const cluster = await EmbeddedPostgres.start(options);
  running.push(cluster);
  return cluster;
}

async function canLogIn(connectionString: string): Promise<boolean> {
  const client = new Client({ connectionString });
  try {
    await client.connect();
    await client.end();
    return true;
  } catch {
    return false;
  }
}

test("several clusters at once, each with its own port, settings, roles and databases", async () => {
  const [one, two] = await Promise.all([
    start({
      settings: { work_mem: "5MB" },
      databases: ["shop"],
      roles: [{ name: "ann o'hara", password: 'it\'s \\ "secret"', encryption: "scram-sha-256" }],
      hba: "host all all 127.0.0.1/32 scram-sha-256",
    }),
    start({ hba: "host all all 127.0.0.1/32 md5", roles: [{ name: "bob", password: "x", encryption: "md5" }] }),
  ]);
  expect(one.port).not.toBe(two.port);
  expect((await one.query("show work_mem", [], "shop")).rows).toEqual([{ work_mem: "5MB" }]);
  expect(await canLogIn(one.url("shop", "ann o'hara", 'it\'s \\ "secret"'))).toBe(true);
  expect(await canLogIn(one.url("shop", "ann o'hara", "wrong"))).toBe(false);
  expect(await canLogIn(two.url("postgres", "bob", "x"))).toBe(true);
  const { rows } = await two.query("select left(rolpassword, 3) as kind from pg_authid where rolname = 'bob'");
  expect(rows).toEqual([{ kind: "md5" }]);
});

test("restart, loss of power and reload keep data and port", async () => {
  const cluster = await start();
  const { port } = cluster;
  await cluster.query("create table kept (id int); insert into kept values (1)");
  const before = cluster.pid;
  await cluster.restart();
  expect(cluster.pid).not.toBe(before);
  await cluster.kill();
  await expect(cluster.query("select 1")).rejects.toThrow(/ECONNREFUSED|ENOENT/);
  await cluster.startAgain();
  expect(cluster.port).toBe(port);
  expect((await cluster.query("select id from kept")).rows).toEqual([{ id: 1 }]);
  expect(await canLogIn(cluster.url())).toBe(true);
  cluster.setHba("host all all 127.0.0.1/32 reject");
  await cluster.reload();
  expect(await canLogIn(cluster.url())).toBe(false);
});

test("a configuration that PostgreSQL refuses is reported with its words, and the folder goes", async () => {
  await expect(EmbeddedPostgres.start({ settings: { no_such_setting: 1 } })).rejects.toThrow(/no_such_setting/);
});

test.each([["SIGKILL"], ["SIGTERM"], ["no signal"]] as const)(
  "after the end of the process that started it (%s) neither PostgreSQL nor its folder is left",
  async (how) => {
    const module = join(import.meta.dirname, "../../src/demo/embedded-postgres.ts");
    const stay = how === "no signal" ? "" : "setInterval(() => {}, 1000);";
    const child = spawn(process.execPath, [
      "--input-type=module-typescript",
      "--eval",
      `import { EmbeddedPostgres } from ${JSON.stringify(module)};
       const cluster = await EmbeddedPostgres.start();
       process.stdout.write(cluster.pid + " " + cluster.socketFolder + "\\n");
       ${stay}`,
    ]);
    const [line] = (await once(child.stdout, "data")) as [Buffer];
    const [pid, folder] = line.toString().trim().split(" ");
    expect(existsSync(folder!)).toBe(true);
    if (how !== "no signal") child.kill(how);
    await waitFor("PostgreSQL to end", () => !isRunning(Number(pid)));
    await waitFor("the folder to go", () => !existsSync(folder!));
  },
);
