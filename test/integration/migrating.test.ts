/** What docs/migrating-from-pgbouncer.md tells its reader to type, with a pooler of our own in PgBouncer's place. */
import { spawn } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { findFreePort } from "../../src/demo/free-port.ts";
import { isReachable, unprivilegedUser } from "../../src/demo/unprivileged-user.ts";
import { Bouncer } from "../support/bouncer.ts";
import { waitFor } from "../support/wait-for.ts";
import { read, root } from "../unit/docs/pages.ts";

const page = read("docs/migrating-from-pgbouncer.md");
const program = join(root, "bin", "pgcarpool");
const user = unprivilegedUser();
/** The page's commands are typed by the user that runs the pooler, who must be able to read the program. */
const isReadable = user === null || isReachable(program, user);

let bouncer: Bouncer;
let port: number;

beforeEach(async () => {
  port = await findFreePort();
  bouncer = await Bouncer.start({
    databases: { shop: "host=127.0.0.1 port=1" },
    settings: { pidfile: "pooler.pid", default_pool_size: 7 },
  });
});

afterEach(async () => {
  for (const pidfile of readdirSync(bouncer.folder, { recursive: true, encoding: "utf8" })) {
    if (!pidfile.endsWith(".pid")) continue;
    const pid = Number(readFileSync(join(bouncer.folder, pidfile), "latin1"));
    if (pid !== bouncer.pid) process.kill(pid, "SIGQUIT");
  }
  await bouncer.stop();
});

/** The commands that stand behind the mark of this name. */
function commands(mark: string): string {
  const text = new RegExp(`<!-- ${mark} -->\\n+\`\`\`sh\\n([\\s\\S]*?)\`\`\``).exec(page)?.[1];
  if (text === undefined) throw new Error(`the page has no commands marked ${mark}`);
  return text.replaceAll("6433", String(port));
}

/** Runs commands in a shell of the pooler's user, with the page's names for this pooler's files. */
async function type(text: string, ini = bouncer.iniPath): Promise<{ status: number | null; output: string }> {
  const names = { INI: ini, SOCKETS: bouncer.folder, PIDFILE: join(bouncer.folder, "pooler.pid") };
  expect([...commands("names").matchAll(/^(\w+)=/gm)].map(([, name]) => name)).toEqual(Object.keys(names));
  const outputPath = join(bouncer.folder, "typed.txt");
  const child = spawn("/bin/sh", ["-c", `exec >"${outputPath}" 2>&1\n${text}`], {
    cwd: bouncer.folder,
    stdio: "ignore",
    env: {
      ...process.env,
      ...names,
      PATH: `${join(root, "bin")}:${process.env["PATH"] ?? ""}`,
      PGCARPOOL_RUNTIME: bouncer.runtime,
      TMPDIR: bouncer.folder,
    },
    ...(user === null ? {} : { uid: user.uid, gid: user.gid }),
  });
  const status = await new Promise<number | null>((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", resolve);
  });
  return { status, output: readFileSync(outputPath, "utf8") };
}

test.skipIf(!isReadable)("the file of a running pooler is checked, and nothing is started", async () => {
  const before = readdirSync(bouncer.folder);
  const { status, output } = await type(commands("check"));
  expect(output).toMatch(/^\S+ \S+ \S+ \[\d+\] FATAL unix socket is in use, cannot continue\n$/);
  expect(status).toBe(1);
  expect(readdirSync(bouncer.folder).filter((name) => !before.includes(name))).toEqual(["typed.txt"]);
  expect(await bouncer.admin("SHOW VERSION")).toHaveLength(1);
});

test.skipIf(!isReadable)("mistakes in a file are named, all at once", async () => {
  const wrong = join(bouncer.folder, "wrong.ini");
  const text = readFileSync(bouncer.iniPath, "utf8");
  writeFileSync(wrong, `${text}\n[pgbouncer]\npool_mode = transacton\nmax_clients = 5\n`, { mode: 0o644 });
  const { status, output } = await type(commands("check"), wrong);
  const line = text.split("\n").length + 2;
  expect(status).toBe(1);
  expect(output).toContain(
    `ERROR invalid value "transacton" for parameter pool_mode in configuration (${wrong}:${line})`,
  );
  expect(output).toContain(`ERROR unknown parameter: pgbouncer/max_clients (${wrong}:${line + 1})`);
  expect(output).toMatch(/FATAL cannot load config file\n$/);
});

test.skipIf(!isReadable)("beside the old pooler another one serves with the same configuration", async () => {
  const { status, output } = await type(`${commands("beside")}\necho "$BESIDE"`);
  expect(status).toBe(0);
  const beside = output.trim();
  await waitFor("the second pooler", () => {
    try {
      return readFileSync(`${beside}.log`, "utf8").includes("process up: ");
    } catch {
      return false;
    }
  });
  const old = await settingsOf(bouncer.port);
  const changed = [...(await settingsOf(port))]
    .filter(([key, value]) => old.get(key) !== value)
    .map(([key]) => String(key));
  expect(changed.sort((a, b) => a.localeCompare(b))).toEqual(["conffile", "listen_port", "logfile", "pidfile"]);
  expect(old.get("default_pool_size")).toBe("7");
});

test.skipIf(!isReadable)("stopped and started again by the pidfile", async () => {
  const ended = bouncer.exited;
  const { status, output } = await type(commands("restart"));
  expect([status, output]).toEqual([0, ""]);
  expect(await ended).toEqual({ status: 0, signal: null });
  await waitFor("the new pooler", () => bouncer.logCount(/process up: /) === 2);
  expect(await bouncer.admin("SHOW VERSION")).toHaveLength(1);
});

/** What SHOW CONFIG says on a port. */
async function settingsOf(onPort: number): Promise<Map<unknown, unknown>> {
  const client = await bouncer.connect({
    host: bouncer.folder,
    port: onPort,
    database: "pgbouncer",
    user: "console",
    password: "console-password",
  });
  const { rows } = await client.query("SHOW CONFIG");
  await client.end();
  return new Map(rows.map(({ key, value }: { key: string; value: string | null }) => [key, value]));
}
