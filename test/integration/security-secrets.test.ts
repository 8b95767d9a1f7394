/**
 * Secrets stay inside. A pooler uses passwords, hashes, verifiers, keys and cancel keys of every kind, at the highest
 * verbosity, with logins that succeed and fail; then everything that it has written or answered is searched for them: its
 * log, its output, its console (but SHOW FDS, which hands sessions over and is an admin's), its errors, its command line and
 * environment.
 */
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { afterAll, beforeAll, expect, test } from "vitest";
import { EmbeddedPostgres } from "../../src/demo/embedded-postgres.ts";
import { Bouncer } from "../support/bouncer.ts";
import { waitFor } from "../support/wait-for.ts";
import { int32, query, startupMessage, WireClient } from "../support/wire-client.ts";
import { createCertificate } from "../transport/certificate.ts";
import { reloadBySignal } from "./login-reload.ts";
import { logIn, md5Secret, scramSecret } from "./login-dialogue.ts";

const mark = "Zu6aeGh0";
/** Every secret of the configuration has the mark in it, but for hashes, which are looked for by themselves. */
const secret = (whose: string): string => `${mark}-${whose}`;

let cluster: EmbeddedPostgres;
let bouncer: Bouncer;
let folder: string;
/** Everything that was answered to anybody. */
const answers: string[] = [];
/** What must be nowhere, beside the mark. */
const secrets = new Set<string>([mark, Buffer.from(mark).toString("hex")]);

const verifier = scramSecret(secret("verifier"));
const hash = md5Secret("mia", secret("mia"));

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "pgc-secret-"));
  chmodSync(folder, 0o755);
  const own = createCertificate({ commonName: "pooler" });
  for (const [name, bytes] of [
    ["cert.pem", own.certPem],
    ["key.pem", own.keyPem],
  ] as const) {
    writeFileSync(join(folder, name), bytes);
    chmodSync(join(folder, name), 0o644);
  }
  cluster = await EmbeddedPostgres.start({
    hba: "host all postgres 127.0.0.1/32 trust\nlocal all all trust\nhost all all 127.0.0.1/32 scram-sha-256",
    roles: [
      { name: "anna", password: secret("anna") },
      { name: "queried", password: secret("queried") },
    ],
  });
  const { rows } = await cluster.query("select rolpassword from pg_authid where rolpassword is not null");
  for (const { rolpassword } of rows as { rolpassword: string }[]) addVerifier(rolpassword);
  addVerifier(verifier);
  secrets.add(hash.slice(3));
  for (const line of Buffer.from(own.keyPem).toString().split("\n")) {
    if (line.length > 40) secrets.add(line);
  }
  const at = `host=${cluster.host} port=${cluster.port} dbname=postgres`;
  bouncer = await Bouncer.start({
    loud: true,
    databases: {
      entry: `${at} user=anna password='${secret("anna")}'`,
      wrong: `${at} user=anna password='${secret("wrong-entry")}'`,
      hashed: `${at} user=anna password=${hash}`,
      asked: `${at} auth_user=postgres`,
      own: at,
    },
    userlist: {
      anna: secret("anna"),
      mia: hash,
      vera: verifier,
      postgres: secret("postgres"),
      watcher: secret("watcher"),
    },
    settings: settings("md5"),
  });
});

function settings(authType: string): Record<string, string | number> {
  return {
    auth_type: authType,
    pool_mode: "transaction",
    verbose: 3,
    log_connections: 1,
    log_disconnections: 1,
    stats_users: "watcher",
    server_tls_sslmode: "disable",
    server_login_retry: 0,
    client_tls_sslmode: "allow",
    client_tls_cert_file: join(folder, "cert.pem"),
    client_tls_key_file: join(folder, "key.pem"),
    auth_ldap_options: `ldapserver=127.0.0.1 ldapport=1 ldapbasedn="dc=x" ldapbinddn="cn=x" ldapbindpasswd="${secret("ldap")} words"`,
  };
}

const use = (authType: string): Promise<void> => reloadBySignal(bouncer, { settings: settings(authType) });

afterAll(async () => {
  await bouncer?.stop();
  await cluster?.stop();
  rmSync(folder, { recursive: true, force: true });
});

function addVerifier(text: string): void {
  for (const part of text.split(/[$:]/).slice(2)) secrets.add(part);
}

/** The key of a client, however it might be printed. */
function addKey(client: WireClient): void {
  const { key } = client;
  if (key === null) return;
  secrets.add(key.secret.toString("hex"));
  if (key.secret.length === 4) secrets.add(String(key.secret.readUInt32BE(0))).add(String(key.secret.readInt32BE(0)));
}

async function tryLogin(database: string, user: string, password: string): Promise<boolean> {
  const { client, error } = await logIn(bouncer, { database, user, password });
  answers.push(JSON.stringify(error));
  if (error === null && database !== "pgbouncer") {
    client.send(query("select 1"));
    for (const { body } of await client.until("Z", "E")) answers.push(body.toString("latin1"));
  }
  client.end();
  return error === null;
}

test("secrets of every kind are used", async () => {
  const logins: [string, string, string, boolean][] = [
    ["entry", "anna", secret("anna"), true],
    ["entry", "anna", secret("guess"), false],
    ["entry", "mia", secret("mia"), true],
    ["entry", "vera", secret("verifier"), true],
    ["entry", "vera", secret("guess"), false],
    ["entry", "unknown", secret("guess"), false],
    ["nowhere", "anna", secret("anna"), false],
    ["wrong", "anna", secret("anna"), false],
    ["hashed", "anna", secret("anna"), false],
    ["own", "anna", secret("anna"), true],
    ["asked", "queried", secret("queried"), true],
    ["asked", "queried", secret("guess"), false],
    ["pgbouncer", "watcher", secret("watcher"), true],
    ["pgbouncer", "watcher", secret("guess"), false],
  ];
  for (const [database, user, password, succeeds] of logins) {
    expect([database, user, await tryLogin(database, user, password)]).toEqual([database, user, succeeds]);
  }
  for (const authType of ["plain", "scram-sha-256", "ldap"]) {
    await use(authType);
    await tryLogin("entry", "anna", secret(authType === "ldap" ? "sent-to-ldap" : "anna"));
    await tryLogin("entry", "anna", secret("guess"));
  }
  await use("md5");
});

test("cancel keys are used", async () => {
  await use("trust");
  const client = await WireClient.login(bouncer, { user: "anna", database: "entry" });
  addKey(client);
  const { pid, secret: key } = client.key!;
  client.send(query("select pg_sleep(30)"));
  const canceller = await WireClient.open(bouncer);
  canceller.send(Buffer.concat([int32(12 + key.length), int32(80877102), int32(pid), key]));
  await canceller.rest();
  expect((await client.until("Z")).some(({ type }) => type === "E")).toBe(true);
  const wrong = await WireClient.open(bouncer);
  wrong.send(Buffer.concat([int32(16), int32(80877102), int32(pid), Buffer.from("\x7f\x01\x02\x03")]));
  await wrong.rest();
  client.end();
  await use("md5");
});

test("connections are encrypted with the private key", async () => {
  const plain = await WireClient.open(bouncer);
  plain.send(Buffer.concat([int32(8), int32(80877103)]));
  expect((await plain.raw(1)).toString()).toBe("S");
  await new Promise<void>((resolve, reject) => {
    const socket = connectTls({ socket: plain.socket, rejectUnauthorized: false }, () => {
      socket.write(startupMessage({ user: "anna", database: "entry" }));
    });
    socket.on("error", reject);
    socket.on("data", (bytes: Buffer) => {
      answers.push(bytes.toString("latin1"));
      socket.destroy();
      resolve();
    });
  });
});

test("configurations with mistakes beside secrets are refused", async () => {
  const good = readFileSync(bouncer.iniPath, "utf8");
  for (const line of [
    `bad = host=h password='${secret("bad")}' nonsense=1`,
    `bad = host=h password='${secret("bad")} no end`,
    `bad = host=h passwort='${secret("bad")}'`,
    `bad = host=h port=x password=${secret("bad")}`,
  ]) {
    writeFileSync(bouncer.iniPath, good.replace("[databases]\n", `[databases]\n${line}\n`));
    answers.push(await bouncer.admin("RELOAD").then(JSON.stringify, String));
  }
  writeFileSync(bouncer.iniPath, good);
  const list = join(bouncer.folder, "userlist.txt");
  const users = readFileSync(list, "utf8");
  for (const text of [`"anna" "${secret("bad")}`, `"anna" "${secret("bad")}" "x`, `anna ${secret("bad")}\n`]) {
    writeFileSync(list, `${users}${text}`);
    answers.push(await bouncer.admin("RELOAD").then(JSON.stringify, String));
  }
  writeFileSync(list, users);
  answers.push(JSON.stringify(await bouncer.admin("RELOAD")));
});

test("the console is asked for everything", async () => {
  const names =
    "CLIENTS CONFIG DATABASES DNS_HOSTS DNS_ZONES LISTS MEM PEERS PEER_POOLS POOLS SERVERS SOCKETS ACTIVE_SOCKETS STATE " +
    "STATS STATS_TOTALS STATS_AVERAGES TOTALS USERS VERSION HELP";
  const busy = await bouncer.connect({ database: "entry", user: "anna", password: secret("anna") });
  await busy.query("begin");
  for (const name of names.split(" ")) answers.push(JSON.stringify(await bouncer.admin(`SHOW ${name}`)));
  answers.push(
    await bouncer
      .admin(`SET auth_ldap_options = 'ldapserver=x ldapbasedn=dc=x ldapbindpasswd=${secret("set")}'`)
      .then(() => "", String),
  );
  answers.push(JSON.stringify(await bouncer.admin("SHOW CONFIG")));
  await busy.end();
  expect(answers.some((answer) => answer.includes("ldapbindpasswd=****"))).toBe(true);
});

test("whoever is no admin is not shown SHOW FDS", async () => {
  const { client, error } = await logIn(bouncer, {
    database: "pgbouncer",
    user: "watcher",
    password: secret("watcher"),
  });
  expect(error).toBeNull();
  client.send(query("SHOW FDS"));
  const told = await client.until("Z");
  expect(told.map(({ type }) => type).join("")).toBe("EZ");
  for (const { body } of told) answers.push(body.toString("latin1"));
  client.end();
});

test("and nothing of it is seen anywhere", async () => {
  await waitFor("a line about statistics or an end", () => bouncer.logContains(/closing because/));
  const { pid } = bouncer;
  const places: Record<string, string> = {
    log: bouncer.log(),
    output: bouncer.output(),
    answers: answers.join("\n"),
    "command line": readFileSync(`/proc/${pid}/cmdline`, "latin1"),
    environment: readFileSync(`/proc/${pid}/environ`, "latin1"),
  };
  expect(places["log"]).toMatch(/login attempt: .*\n/);
  expect(places["log"]).toMatch(/ NOISE | DEBUG /);
  expect(places["output"]!.length).toBeGreaterThan(1000);
  expect(secrets.size).toBeGreaterThan(10);
  const seen = Object.entries(places).flatMap(([place, text]) =>
    [...secrets]
      .filter((one) => text.includes(one))
      .map((one) => `${place}: …${text.slice(Math.max(0, text.indexOf(one) - 120), text.indexOf(one) + 40)}`),
  );
  expect(seen).toEqual([]);
});
