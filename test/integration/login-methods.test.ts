/**
 * Passwords of clients: every `auth_type` against every kind of stored secret, right, wrong and empty. What is compared is
 * the whole dialogue, the error with its SQLSTATE, and what an operator reads in the log.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EmbeddedPostgres } from "../../src/demo/embedded-postgres.ts";
import { Bouncer } from "../support/bouncer.ts";
import { int32, message, query, startupMessage, types, WireClient } from "../support/wire-client.ts";
import { reloadBySignal } from "./login-reload.ts";
import { logIn, md5Secret, ScramAnswers, scramSecret } from "./login-dialogue.ts";

const password = "correct horse";
const long = "x".repeat(996);
const longest = "y".repeat(65_530);
const unicodeUser = "zoë-用户";
const unicodePassword = "pâss-密码";

let cluster: EmbeddedPostgres;
let bouncer: Bouncer;

const userlist = {
  plain: password,
  md5: md5Secret("md5", password),
  scram: scramSecret(password),
  empty: "",
  long,
  longest,
  "long-md5": md5Secret("long-md5", long),
  "long-scram": scramSecret(long),
  [unicodeUser]: unicodePassword,
  "unicode-md5": md5Secret("unicode-md5", unicodePassword),
  "unicode-scram": scramSecret(unicodePassword),
  'quo"te': 'pass"word',
};

beforeAll(async () => {
  cluster = await EmbeddedPostgres.start();
  const target = `host=${cluster.host} port=${cluster.port} dbname=postgres`;
  bouncer = await Bouncer.start({
    databases: { forced: `${target} user=postgres`, own: target },
    userlist,
    settings: { auth_type: "trust", server_tls_sslmode: "disable" },
  });
});

afterAll(async () => {
  await bouncer?.stop();
  await cluster?.stop();
});

async function use(authType: string): Promise<void> {
  await reloadBySignal(bouncer, { settings: { auth_type: authType, server_tls_sslmode: "disable" } });
}

interface Attempt {
  readonly dialogue: string;
  readonly error: string | null;
}

/** Logs in, runs a query if that worked, and returns what the client saw; the log must agree with it. */
async function attempt(user: string, secret: string, database = "forced", loggedAs = user): Promise<Attempt> {
  let seen: Attempt = { dialogue: "", error: null };
  const log = await bouncer.logDuring(async () => {
    let behind = "";
    const { dialogue, error, client } = await logIn(bouncer, { user, password: secret, database });
    if (error === null && dialogue.endsWith("Z")) {
      client.send(query("select 1"));
      behind = types(await client.until("Z", "E"));
      client.end();
    } else {
      behind = types(await client.rest());
    }
    expect(behind).toBe(error === null ? "TDCZ" : "");
    expect(error === null || (error["S"] === "FATAL" && error["C"] === "08P01")).toBe(true);
    seen = { dialogue, error: error?.["M"] ?? null };
  });
  expect(log).toContain(`/${loggedAs}@127.0.0.1:`);
  expect(log).toContain(`login attempt: db=${database} user=${loggedAs} tls=no replication=no`);
  const lines = seen.error === null ? [] : [`pooler error: ${seen.error}`, `closing because: ${seen.error} (age=`];
  expect(lines.filter((line) => !log.includes(line))).toEqual([]);
  // "x" and "wrong" are words of the log's own.
  expect(secret.length > 5 && log.includes(secret)).toBe(false);
  return seen;
}

const welcome = "R0 … Z";
const refused = "password authentication failed";
const saslRefused = "SASL authentication failed";

describe("trust", () => {
  beforeAll(() => use("trust"));

  test.each(["plain", "md5", "scram", "empty", unicodeUser, 'quo"te'])("%s comes in unasked", async (user) => {
    expect(await attempt(user, "")).toEqual({ dialogue: welcome, error: null });
  });

  test("an unknown user does not", async () => {
    expect(await attempt("nobody", "")).toEqual({ dialogue: "E", error: '"trust" authentication failed' });
    expect(bouncer.log()).toMatch(/C-0x\w+: forced\/nobody@127.0.0.1:\d+ no such user: nobody\n/);
  });
});

describe("any", () => {
  beforeAll(() => use("any"));

  test("everybody comes in where servers have a user of their own, and as that user", async () => {
    expect(await attempt("plain", "", "forced", "postgres")).toEqual({ dialogue: welcome, error: null });
    expect(await attempt("nobody", "", "forced", "postgres")).toEqual({ dialogue: welcome, error: null });
  });

  test("nobody where they have not", async () => {
    const { dialogue, error } = await logIn(bouncer, { user: "plain", password: "", database: "own" });
    expect([dialogue, error!["M"]]).toEqual(["E", "bouncer config error"]);
    expect(bouncer.log()).toMatch(/ERROR C-.* auth_type=any requires forced user\n/);
  });
});

describe("plain", () => {
  beforeAll(() => use("plain"));

  test.each(["plain", "md5", "scram"])("a stored %s secret", async (user) => {
    expect(await attempt(user, password)).toEqual({ dialogue: `R3 ${welcome}`, error: null });
    expect(await attempt(user, "wrong")).toEqual({ dialogue: "R3 E", error: refused });
    expect(await attempt(user, "")).toEqual({ dialogue: "R3 E", error: "empty password returned by client" });
  });

  test("a user without a secret never passes", async () => {
    expect(await attempt("empty", "")).toEqual({ dialogue: "R3 E", error: "empty password returned by client" });
    expect(await attempt("empty", "anything")).toEqual({ dialogue: "R3 E", error: refused });
  });

  test("an unknown user has the same dialogue as a known one with a wrong password", async () => {
    expect(await attempt("nobody", "wrong")).toEqual(await attempt("plain", "wrong"));
    expect(await attempt("nobody", "")).toEqual(await attempt("plain", ""));
  });

  test("long passwords, and one byte too long", async () => {
    expect((await attempt("long", long)).error).toBeNull();
    expect((await attempt("long-md5", long)).error).toBeNull();
    expect((await attempt("long-scram", long)).error).toBeNull();
    expect((await attempt("long", `${long}x`)).error).toBe(refused);
    expect((await attempt("longest", longest)).error).toBeNull();
    expect((await attempt("longest", `${longest}y`)).error).toBe(refused);
  });

  test("names and passwords beyond ASCII", async () => {
    for (const user of [unicodeUser, "unicode-md5", "unicode-scram"]) {
      expect((await attempt(user, unicodePassword)).error).toBeNull();
    }
    expect((await attempt(unicodeUser, "pass-密码")).error).toBe(refused);
    expect((await attempt('quo"te', 'pass"word')).error).toBeNull();
  });
});

describe("md5", () => {
  beforeAll(() => use("md5"));

  test.each(["plain", "md5"])("a stored %s secret", async (user) => {
    expect(await attempt(user, password)).toEqual({ dialogue: `R5 ${welcome}`, error: null });
    expect(await attempt(user, "wrong")).toEqual({ dialogue: "R5 E", error: refused });
    expect(await attempt(user, "")).toEqual({ dialogue: "R5 E", error: refused });
  });

  test("a stored SCRAM secret turns the dialogue into SCRAM", async () => {
    expect(await attempt("scram", password)).toEqual({ dialogue: `R10 R11 R12 ${welcome}`, error: null });
    expect(await attempt("scram", "wrong")).toEqual({ dialogue: "R10 R11 E", error: saslRefused });
  });

  test("users without a secret and unknown ones: as a wrong password", async () => {
    const wrong = await attempt("plain", "wrong");
    for (const user of ["empty", "nobody"]) {
      expect(await attempt(user, "wrong")).toEqual(wrong);
      expect(await attempt(user, "")).toEqual(wrong);
    }
  });

  test("the hash itself is no password", async () => {
    expect((await attempt("md5", userlist.md5)).error).toBe(refused);
  });

  test("beyond ASCII, and long", async () => {
    expect((await attempt(unicodeUser, unicodePassword)).error).toBeNull();
    expect((await attempt("unicode-md5", unicodePassword)).error).toBeNull();
    expect((await attempt("long-md5", long)).error).toBeNull();
  });
});

describe("scram-sha-256", () => {
  beforeAll(() => use("scram-sha-256"));

  test.each(["plain", "scram"])("a stored %s secret", async (user) => {
    expect(await attempt(user, password)).toEqual({ dialogue: `R10 R11 R12 ${welcome}`, error: null });
    expect(await attempt(user, "wrong")).toEqual({ dialogue: "R10 R11 E", error: saslRefused });
    expect(await attempt(user, "")).toEqual({ dialogue: "R10 R11 E", error: saslRefused });
  });

  test("md5 secrets, none, and unknown users: as a wrong password", async () => {
    const wrong = await attempt("scram", "wrong");
    for (const user of ["md5", "empty", "nobody"]) {
      expect(await attempt(user, "wrong")).toEqual(wrong);
      expect(await attempt(user, "")).toEqual(wrong);
    }
    expect((await attempt("md5", password)).error).toBe(saslRefused);
    expect(bouncer.log()).toContain("SCRAM authentication failed: user has MD5 secret");
  });

  test("an unknown user's salt does not change, and its iterations are those of known ones", async () => {
    const challenges: { salt: string; iterations: number }[] = [];
    for (const user of ["nobody", "nobody", "somebody", "plain"]) {
      const client = await WireClient.open(bouncer);
      client.send(startupMessage({ user, database: "forced" }));
      const answers = new ScramAnswers("wrong");
      const first = Buffer.from(answers.first());
      await client.until("R");
      client.send(message("p", "SCRAM-SHA-256", int32(first.length), first));
      const [challenge] = await client.until("R");
      answers.final(challenge!.body.toString("latin1", 4));
      challenges.push({ salt: answers.salt, iterations: answers.iterations });
      client.destroy();
    }
    const [first, again, other, known] = challenges;
    expect(first).toEqual(again);
    expect(other!.salt).not.toBe(first!.salt);
    expect(first!.iterations).toBe(known!.iterations);
    expect(first!.salt.length).toBe(known!.salt.length);
  });

  test("beyond ASCII", async () => {
    for (const user of [unicodeUser, "unicode-scram"]) {
      expect((await attempt(user, unicodePassword)).error).toBeNull();
    }
  });

  test("another mechanism, or none at all", async () => {
    const other = await WireClient.open(bouncer);
    other.send(startupMessage({ user: "scram", database: "forced" }));
    await other.until("R");
    other.send(message("p", "SCRAM-SHA-256-PLUS", int32(1), Buffer.from("n")));
    const [refusal] = await other.rest();
    expect(refusal!.body.toString("utf8")).toContain("client selected an invalid SASL authentication mechanism");

    const plain = await WireClient.open(bouncer);
    plain.send(startupMessage({ user: "scram", database: "forced" }));
    await plain.until("R");
    plain.send(message("p", password));
    const [second] = await plain.rest();
    expect(second!.type).toBe("E");
    expect(second!.body.toString("utf8")).toContain("FATAL");
  });

  test("a database that does not exist: a wrong password learns nothing of it", async () => {
    expect(await attempt("plain", "wrong", "no-such")).toEqual(await attempt("plain", "wrong"));
    expect((await attempt("plain", password, "no-such")).error).toBe("no such database: no-such");
    expect((await attempt("scram", password, "no-such")).error).toBe("no such database: no-such");
    expect((await attempt("nobody", password, "no-such")).error).toBe(saslRefused);
  });
});

test("node-postgres and postgres agree with the stored secrets", async () => {
  for (const authType of ["plain", "md5", "scram-sha-256"]) {
    await use(authType);
    for (const user of ["plain", "scram", unicodeUser]) {
      const client = await bouncer.connect({
        user,
        password: user === unicodeUser ? unicodePassword : password,
        database: "forced",
      });
      expect((await client.query("select current_user as me")).rows).toEqual([{ me: "postgres" }]);
      await client.end();
      const wrong = bouncer.connect({ user, password: "wrong", database: "forced" });
      await expect(wrong).rejects.toMatchObject({ code: "08P01", message: /authentication failed/ });
    }
  }
});

test("secrets read again from auth_file count from the next login on", async () => {
  await use("scram-sha-256");
  await reloadBySignal(bouncer, { userlist: { ...userlist, plain: "changed", scram: scramSecret("changed") } });
  for (const user of ["plain", "scram"]) {
    expect((await attempt(user, "changed")).error).toBeNull();
    expect((await attempt(user, password)).error).toBe(saslRefused);
  }
  const rest: Record<string, string> = { ...userlist };
  delete rest["plain"];
  await reloadBySignal(bouncer, { userlist: rest });
  expect((await attempt("plain", "changed")).error).toBe(saslRefused);
  await reloadBySignal(bouncer, { userlist });
  expect((await attempt("plain", password)).error).toBeNull();
});
