/**
 * Clients that the operating system vouches for, over the Unix socket: `peer` lines of the HBA file with and without a map, and
 * the console for whoever runs the pooler. The tests run as any system user; as root they act as a second one too.
 */
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EmbeddedPostgres } from "../../src/demo/embedded-postgres.ts";
import { unprivilegedUser, type UnprivilegedUser } from "../../src/demo/unprivileged-user.ts";
import { Bouncer } from "../support/bouncer.ts";
import { errorFields, query, startupMessage, types, WireClient } from "../support/wire-client.ts";
import { reloadBySignal } from "./login-reload.ts";

/** Who we are, and who the pooler runs as. */
const self = userInfo().username;
const poolerUser: UnprivilegedUser | null = unprivilegedUser();

let cluster: EmbeddedPostgres;
let bouncer: Bouncer;

beforeAll(async () => {
  cluster = await EmbeddedPostgres.start();
  const target = `host=${cluster.host} port=${cluster.port} dbname=postgres user=postgres`;
  const users = [self, "postgres", "ann", "bob", ...(poolerUser === null ? [] : [poolerUser.name])];
  bouncer = await Bouncer.start({
    databases: { shop: target },
    userlist: Object.fromEntries(users.map((name) => [name, ""])),
    settings: { auth_type: "trust" },
  });
});

afterAll(async () => {
  await bouncer?.stop();
  await cluster?.stop();
});

async function rules(hba: string, ident = ""): Promise<void> {
  const settings: Record<string, string> = { auth_type: "hba" };
  for (const [name, text] of [
    ["hba", hba],
    ["ident", ident],
  ] as const) {
    settings[`auth_${name}_file`] = join(bouncer.folder, `${name}.conf`);
    writeFileSync(settings[`auth_${name}_file`]!, `${text}\n`);
  }
  await reloadBySignal(bouncer, { settings: { ...settings, server_tls_sslmode: "disable" } });
}

/** "in", or the error's text. */
async function login(user: string, database = "shop", by: "unix" | "tcp" = "unix"): Promise<string> {
  const { port, folder } = bouncer;
  const client = await WireClient.open(by === "unix" ? { port, socketFolder: folder } : bouncer);
  client.send(startupMessage({ user, database }));
  const last = (await client.until("Z", "E")).at(-1)!;
  client.destroy();
  return last.type === "Z" ? "in" : errorFields(last.body)["M"]!;
}

/** The same by a process of system user `as`. */
function loginAs(as: UnprivilegedUser, user: string, database = "shop"): Promise<string> {
  const script = `
    const [path, hello] = process.argv.slice(1);
    const socket = require("node:net").connect(path);
    socket.on("data", (chunk) => { process.stdout.write(chunk); socket.destroy(); });
    socket.write(Buffer.from(hello, "hex"));`;
  const path = join(bouncer.folder, `.s.PGSQL.${bouncer.port}`);
  const hello = startupMessage({ user, database }).toString("hex");
  const child = spawn(process.execPath, ["-e", script, path, hello], { uid: as.uid, gid: as.gid, cwd: "/" });
  const chunks: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", () => {
      const answer = Buffer.concat(chunks);
      resolve(answer[0] === 0x52 ? "in" : (errorFields(answer.subarray(5))["M"] ?? answer.toString("latin1")));
    });
  });
}

const rejected = "unix socket login rejected";

describe("peer", () => {
  test("without a map: the system user's own name, and no other", async () => {
    await rules("local all all peer");
    expect(await login(self)).toBe("in");
    const log = await bouncer.logDuring(async () => expect(await login("ann")).toBe(rejected));
    expect(log).toMatch(/ERROR C-0x\w+: shop\/ann@unix\(\d+\):\d+ system user "\S+" is not "ann"\n/);
    expect(log).toMatch(/closing because: unix socket login rejected \(age=/);
    expect(log).toMatch(/WARNING C-.* pooler error: unix socket login rejected\n/);
  });

  test("a name that nobody knows is rejected, even one's own", async () => {
    await rules("local all all peer map=crew", `crew ${self} all`);
    expect(await login("stranger")).toBe(rejected);
    expect(await login("ann")).toBe("in");
  });

  test("with a map", async () => {
    await rules("local all all peer map=crew", `crew ${self} ann\ncrew "${self}" postgres\ncrew other bob`);
    expect(await login("ann")).toBe("in");
    expect(await login("postgres")).toBe("in");
    const log = await bouncer.logDuring(async () => {
      expect(await login("bob")).toBe(rejected);
      // The map alone decides: one's own name is not in it.
      expect(await login(self)).toBe(self === "postgres" ? "in" : rejected);
    });
    expect(log).toMatch(/ERROR C-.* ident map crew cannot be matched\n/);
  });

  test("over TCP it rejects everybody", async () => {
    await rules("host all all all peer\nlocal all all peer");
    expect(await login(self, "shop", "tcp")).toBe(rejected);
    expect(await login(self)).toBe("in");
  });

  test("for the console too", async () => {
    await rules("local all all peer map=crew", `crew ${self} console\ncrew ${self} ann`);
    expect(await login("console", "pgbouncer")).toBe("in");
    expect(await login("ann", "pgbouncer")).toBe("not allowed");
  });

  test.skipIf(poolerUser === null)("every client is taken for its own system user", async () => {
    const { name } = poolerUser!;
    await rules("local all all peer");
    expect(await loginAs(poolerUser!, name)).toBe("in");
    expect(await loginAs(poolerUser!, self)).toBe(rejected);
    expect(await login(name)).toBe(rejected);
    await rules("local all all peer map=crew", `crew ${name} ann\ncrew ${self} bob`);
    expect(await loginAs(poolerUser!, "ann")).toBe("in");
    expect(await loginAs(poolerUser!, "bob")).toBe(rejected);
    expect(await login("bob")).toBe("in");
    expect(await login("ann")).toBe(rejected);
  });
});

describe("the console for whoever runs the pooler", () => {
  const nobodyMore = "local all all reject\nhost all all all reject";

  test("as user pgbouncer, whatever the rules say, and with all rights", async () => {
    await rules(nobodyMore);
    const log = await bouncer.logDuring(async () => {
      const answer =
        poolerUser === null
          ? await login("pgbouncer", "pgbouncer")
          : await loginAs(poolerUser, "pgbouncer", "pgbouncer");
      expect(answer).toBe("in");
    });
    expect(log).toMatch(/LOG C-.* pgbouncer access from unix socket\n/);
  });

  test("not under another name, not for another system user, not over TCP", async () => {
    await rules(nobodyMore);
    const asPooler = (user: string, database: string): Promise<string> =>
      poolerUser === null ? login(user, database) : loginAs(poolerUser, user, database);
    expect(await asPooler("console", "pgbouncer")).toBe("login rejected");
    expect(await asPooler("pgbouncer", "shop")).toBe("login rejected");
    expect(await login("pgbouncer", "pgbouncer", "tcp")).toBe("login rejected");
    if (poolerUser !== null) expect(await login("pgbouncer", "pgbouncer")).toBe("login rejected");
  });

  test.skipIf(poolerUser !== null)("its commands are those of an admin", async () => {
    const client = await WireClient.login(
      { port: bouncer.port, socketFolder: bouncer.folder },
      { user: "pgbouncer", database: "pgbouncer" },
    );
    client.send(query("RELOAD"));
    expect(types(await client.until("Z"))).toBe("CZ");
    client.end();
  });
});
