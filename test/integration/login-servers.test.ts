/**
 * Logins of the pooler to PostgreSQL: every method of pg_hba.conf against every place a secret can come from, wrong ones, and
 * SCRAM pass-through.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EmbeddedPostgres } from "../../src/demo/embedded-postgres.ts";
import { Bouncer } from "../support/bouncer.ts";
import { waitFor } from "../support/wait-for.ts";
import { query, startupMessage, types, WireClient } from "../support/wire-client.ts";
import { answerLogin, logIn, md5Secret } from "./login-dialogue.ts";

const password = "opén sesame";
const long = "l".repeat(900);

let cluster: EmbeddedPostgres;
let bouncer: Bouncer;
/** What PostgreSQL stores, by role. */
const stored = new Map<string, string>();

beforeAll(async () => {
  cluster = await EmbeddedPostgres.start({
    databases: ["cleartext", "md5", "scram"],
    hba: [
      "host cleartext all 127.0.0.1/32 password",
      "host md5 all 127.0.0.1/32 md5",
      "host scram all 127.0.0.1/32 scram-sha-256",
    ].join("\n"),
    roles: [
      { name: "anna", password, encryption: "scram-sha-256" },
      { name: "mike", password, encryption: "md5" },
      { name: "pat", password, encryption: "scram-sha-256" },
      { name: "longpass", password: long, encryption: "scram-sha-256" },
      { name: "passless" },
    ],
  });
  const rows = (await cluster.query("select rolname, rolpassword from pg_authid where rolpassword is not null")).rows;
  for (const row of rows as { rolname: string; rolpassword: string }[]) stored.set(row.rolname, row.rolpassword);

  const at = (database: string, more = ""): string =>
    `host=${cluster.host} port=${cluster.port} dbname=${database} ${more}`;
  bouncer = await Bouncer.start({
    databases: {
      cleartext: at("cleartext"),
      md5: at("md5"),
      scram: at("scram"),
      cleartext_ini: at("cleartext", `user=anna password='${password}'`),
      md5_ini: at("md5", `user=mike password='${password}'`),
      md5_ini_hash: at("md5", `user=mike password=${md5Secret("mike", password)}`),
      scram_ini: at("scram", `user=anna password='${password}'`),
      scram_ini_wrong: at("scram", "user=anna password=wrong"),
      md5_ini_wrong: at("md5", "user=mike password=wrong"),
      cleartext_ini_wrong: at("cleartext", "user=anna password=wrong"),
      scram_ini_hash: at("scram", `user=mike password=${md5Secret("mike", password)}`),
      scram_ini_verifier: at("scram", `user=anna password='${stored.get("anna")}'`),
      md5_ini_verifier: at("md5", `user=mike password='${stored.get("anna")}'`),
      cleartext_ini_hash: at("cleartext", `user=mike password=${md5Secret("mike", password)}`),
      forced_listed: at("scram", "user=anna"),
      forced_unlisted: at("scram", "user=passless"),
      long_ini: at("cleartext", `user=longpass password=${long}`),
      own_password: at("scram", `password='${password}'`),
    },
    userlist: { anna: password, mike: md5Secret("mike", password), guest: "guest", longpass: long },
    settings: { auth_type: "trust", server_tls_sslmode: "disable", server_login_retry: 0, default_pool_size: 2 },
  });
});

afterAll(async () => {
  await bouncer?.stop();
  await cluster?.stop();
});

/** Who the client is to PostgreSQL; or the error of the login. */
async function whoAmI(database: string, user: string): Promise<string | Record<string, string>> {
  const { client, error } = await logIn(bouncer, { user, database, password: "" });
  if (error !== null) return { C: error["C"]!, M: error["M"]! };
  client.send(query("select current_user"));
  const answer = await client.until("Z");
  expect(types(answer)).toBe("TDCZ");
  client.end();
  return answer[1]!.body.toString("utf8", 6);
}

describe("the secret stands in the database entry", () => {
  test.each([
    ["cleartext_ini", "anna"],
    ["md5_ini", "mike"],
    ["md5_ini_hash", "mike"],
    ["scram_ini", "anna"],
    ["long_ini", "longpass"],
  ])("%s", async (database, role) => {
    expect(await whoAmI(database, "guest")).toBe(role);
  });

  test("a password without a user belongs to whoever logs in", async () => {
    expect(await whoAmI("own_password", "anna")).toBe("anna");
  });
});

describe("the secret stands in auth_file", () => {
  test.each([
    ["cleartext", "anna"],
    ["scram", "anna"],
    ["md5", "mike"],
    ["cleartext", "longpass"],
    ["scram", "longpass"],
  ])("%s as %s", async (database, user) => {
    expect(await whoAmI(database, user)).toBe(user);
  });

  test("a forced user's", async () => {
    expect(await whoAmI("forced_listed", "guest")).toBe("anna");
  });
});

describe("PostgreSQL's refusal reaches the client as it is", () => {
  test.each(["cleartext_ini_wrong", "md5_ini_wrong", "scram_ini_wrong"])("%s", async (database) => {
    const role = database.startsWith("md5") ? "mike" : "anna";
    const text = `password authentication failed for user "${role}"`;
    expect(await whoAmI(database, "guest")).toEqual({ C: "28P01", M: text });
    expect(bouncer.log()).toMatch(new RegExp(`WARNING server login failed: FATAL ${text}`));
  });

  test("a user without a secret anywhere", async () => {
    expect(await whoAmI("forced_unlisted", "guest")).toEqual({
      C: "28P01",
      M: 'password authentication failed for user "passless"',
    });
  });
});

describe("a secret of the wrong kind is not sent", () => {
  test.each([
    ["scram_ini_hash", "cannot do SCRAM authentication: wrong password type"],
    [
      "scram_ini_verifier",
      "cannot do SCRAM authentication: password is SCRAM secret but client authentication did not provide SCRAM keys",
    ],
    ["md5_ini_verifier", "cannot do MD5 authentication: wrong password type"],
    ["cleartext_ini_hash", "cannot do cleartext authentication: wrong password type"],
  ])("%s", async (database, line) => {
    expect(await whoAmI(database, "guest")).toEqual({ C: "08P01", M: "server login failed: wrong password type" });
    expect(bouncer.log()).toContain(line);
    await bouncer.waitForLog(new RegExp(`S-0x\\w+: ${database}/\\w+@.* closing because: failed to answer authreq`));
  });
});

test("a refused login does not keep later ones out once the secret is right", async () => {
  expect(await whoAmI("scram", "mike")).toMatchObject({ M: "server login failed: wrong password type" });
  await cluster.query(`alter role mike password '${password}'`);
  bouncer.rewrite({ userlist: { anna: password, mike: password, guest: "guest", longpass: long } });
  bouncer.signal("SIGHUP");
  await waitFor("the new secret", async () => (await whoAmI("scram", "mike")) === "mike");
});

test("no secret is in the log", () => {
  const log = bouncer.log();
  for (const secret of [password, md5Secret("mike", password), long, ...stored.values()])
    expect(log).not.toContain(secret);
});

describe("SCRAM pass-through", () => {
  let passing: Bouncer;

  beforeAll(async () => {
    const target = `host=${cluster.host} port=${cluster.port} dbname=scram`;
    passing = await Bouncer.start({
      databases: { scram: target },
      userlist: { pat: stored.get("pat")!, longpass: stored.get("longpass")! },
      settings: {
        auth_type: "scram-sha-256",
        pool_mode: "transaction",
        server_tls_sslmode: "disable",
        default_pool_size: 2,
        server_login_retry: 0.2,
      },
    });
  });

  afterAll(async () => {
    await passing?.stop();
  });

  const enter = () => logIn(passing, { user: "pat", database: "scram", password });

  async function ask(client: WireClient): Promise<string> {
    client.send(query("select current_user"));
    return types(await client.until("Z", "E"));
  }

  test("nobody knows the password but the client, and the servers still open", async () => {
    const [first, second] = [(await enter()).client, (await enter()).client];
    first.send(query("begin"));
    second.send(query("begin"));
    await Promise.all([first.until("Z"), second.until("Z")]);
    expect(await ask(first)).toBe("TDCZ");
    expect(await ask(second)).toBe("TDCZ");
    const count = await cluster.query(
      "select count(*)::int as n from pg_stat_activity where usename = 'pat' and backend_type = 'client backend'",
    );
    expect(count.rows).toEqual([{ n: 2 }]);
    for (const client of [first, second]) client.send(query("commit"));
    await Promise.all([first.until("Z"), second.until("Z")]);
    for (const client of [first, second]) client.end();
  });

  test("the keys outlive the servers, and the client that brought them", async () => {
    const { client } = await enter();
    for (let round = 0; round < 3; round += 1) {
      expect(await ask(client)).toBe("TDCZ");
      const before = passing.logCount(/S-.*closing because/);
      await cluster.query("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'pat'");
      await waitFor("the servers to be gone", () => passing.logCount(/S-.*closing because/) > before);
    }
    client.end();
    const later = await enter();
    expect(await ask(later.client)).toBe("TDCZ");
    later.client.end();
  });

  test("a wrong password proves nothing", async () => {
    const { error } = await logIn(passing, { user: "longpass", database: "scram", password: "wrong" });
    expect(error).toMatchObject({ C: "08P01", M: "SASL authentication failed" });
    expect(passing.log()).not.toContain("scram/longpass@127.0.0.1:" + cluster.port);
  });

  test("another verifier at the server: the client is told", async () => {
    await cluster.query("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'pat'");
    await cluster.query(`alter role pat password '${password}'`);
    const client = await WireClient.open(passing);
    client.send(startupMessage({ user: "pat", database: "scram" }));
    const { error } = await answerLogin(client, { user: "pat", database: "scram", password });
    // The welcome is known, so that it is the first query that learns of it.
    expect(error).toBeNull();
    client.send(query("select 1"));
    const [refusal] = await client.rest();
    expect(refusal!.body.toString("utf8")).toContain('password authentication failed for user "pat"');
    await cluster.query(`alter role pat password '${stored.get("pat")}'`);
    await waitFor("the old verifier to do again", async () => {
      const again = await enter();
      const answer = again.error === null ? await ask(again.client) : "";
      again.client.destroy();
      return answer === "TDCZ";
    });
  });
});
