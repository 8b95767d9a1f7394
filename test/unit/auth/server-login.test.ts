import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ClientLogin } from "../../../src/auth/client-login.ts";
import type { AuthMethod } from "../../../src/auth/client-login.ts";
import { md5Secret } from "../../../src/auth/md5.ts";
import { ScramKeyCache } from "../../../src/auth/scram-key-cache.ts";
import type { ScramKeys } from "../../../src/auth/scram-keys.ts";
import { buildScramVerifier, printScramVerifier } from "../../../src/auth/scram-verifier.ts";
import { ServerLogin } from "../../../src/auth/server-login.ts";
import type { ServerLoginStep } from "../../../src/auth/server-login.ts";
import { StoredSecret } from "../../../src/auth/stored-secret.ts";
import { VerifierCache } from "../../../src/auth/verifier-cache.ts";
import { TestCrypto, text, utf8 } from "./test-crypto.ts";

const crypto = new TestCrypto();
const empty = new Uint8Array(0);
const plain = new StoredSecret("foo");
const md5 = new StoredSecret(md5Secret(crypto, utf8("foo"), "alice"));
const scram = new StoredSecret(printScramVerifier(await buildScramVerifier(crypto, utf8("foo"), 2)));
const mechanisms = utf8("SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0");

function login(secret: StoredSecret | null, scramKeys: ScramKeys | null = null, keyCache = new ScramKeyCache(crypto)) {
  return new ServerLogin({ crypto, user: "alice", secret, scramKeys, keyCache });
}

/** Our server login against our client login, which stands for PostgreSQL asking by `method` and storing `stored`. */
async function dialogue(machine: ServerLogin, method: AuthMethod, stored: StoredSecret | null) {
  const postgres = new ClientLogin({
    crypto,
    method,
    user: "alice",
    secret: stored,
    hasForcedUser: false,
    scramIterations: 2,
    verifiers: new VerifierCache(crypto),
    mockSecret: crypto.randomBytes(32),
  });
  let asked = postgres.start();
  while (asked.kind === "ask") {
    const step = await machine.receive(asked.request.code, asked.request.payload);
    if (step.kind !== "send") return { postgres: null, step };
    asked = await postgres.receive(step.body);
  }
  if (asked.kind === "fail") return { postgres: asked, step: null };
  if (asked.request !== null) {
    const step = await machine.receive(asked.request.code, asked.request.payload);
    if (step.kind !== "wait") return { postgres: asked, step };
  }
  return { postgres: asked, step: await machine.receive(0, empty) };
}

describe("the table of requests and secrets", () => {
  it.each<[AuthMethod, string, StoredSecret, StoredSecret]>([
    ["trust", "plain", plain, plain],
    ["trust", "scram", scram, scram],
    ["plain", "plain", plain, plain],
    ["plain", "plain", plain, scram],
    ["md5", "plain", plain, md5],
    ["md5", "md5", md5, md5],
    ["md5", "plain", plain, scram],
    ["scram-sha-256", "plain", plain, scram],
  ])("%s: logs in with a %s secret", async (method, _, own, stored) => {
    expect((await dialogue(login(own), method, stored)).step).toEqual({ kind: "ok" });
  });

  const noKeys = "password is SCRAM secret but client authentication did not provide SCRAM keys";
  it.each<[AuthMethod, string, StoredSecret, string]>([
    ["plain", "md5", md5, "cannot do cleartext authentication: wrong password type"],
    ["plain", "scram", scram, "cannot do cleartext authentication: wrong password type"],
    ["md5", "scram", scram, "cannot do MD5 authentication: wrong password type"],
    ["scram-sha-256", "md5", md5, "cannot do SCRAM authentication: wrong password type"],
    ["scram-sha-256", "scram", scram, `cannot do SCRAM authentication: ${noKeys}`],
  ])("%s: cannot with a %s secret", async (method, _, own, log) => {
    const stored = method === "md5" ? md5 : plain;
    expect((await dialogue(login(own), method, stored)).step).toEqual({
      kind: "fail",
      log,
      clientMessage: "server login failed: wrong password type",
    });
  });

  it("leaves it to the server to refuse a missing or wrong password", async () => {
    for (const secret of [null, new StoredSecret("")]) {
      const { postgres } = await dialogue(login(secret), "plain", plain);
      expect(postgres).toMatchObject({ message: "empty password returned by client" });
      expect((await dialogue(login(secret), "md5", md5)).postgres?.kind).toBe("fail");
      expect((await dialogue(login(secret), "scram-sha-256", scram)).postgres?.kind).toBe("fail");
    }
    const wrong = login(new StoredSecret("bar"));
    expect((await dialogue(wrong, "scram-sha-256", scram)).postgres?.kind).toBe("fail");
  });
});

describe("pass-through", () => {
  async function provenKeys() {
    const client = login(plain);
    const pooler = new ClientLogin({
      crypto,
      method: "scram-sha-256",
      user: "alice",
      secret: scram,
      hasForcedUser: false,
      scramIterations: 2,
      verifiers: new VerifierCache(crypto),
      mockSecret: empty,
    });
    let asked = pooler.start();
    while (asked.kind === "ask") {
      const step = await client.receive(asked.request.code, asked.request.payload);
      if (step.kind !== "send") throw new Error(step.kind);
      asked = await pooler.receive(step.body);
    }
    if (asked.kind !== "ok" || asked.scramKeys === null) throw new Error("no keys");
    return asked.scramKeys;
  }

  it("logs in to a server with the identical verifier, without PBKDF2, as often as wanted", async () => {
    const keys = await provenKeys();
    const before = crypto.pbkdf2Calls;
    for (let i = 0; i < 3; i++) {
      expect((await dialogue(login(scram, keys), "scram-sha-256", scram)).step).toEqual({ kind: "ok" });
    }
    expect(crypto.pbkdf2Calls).toBe(before);
  });

  it("does not log in to a server with another verifier of the same password", async () => {
    const other = new StoredSecret(printScramVerifier(await buildScramVerifier(crypto, utf8("foo"), 2)));
    const { postgres } = await dialogue(login(scram, await provenKeys()), "scram-sha-256", other);
    expect(postgres?.kind).toBe("fail");
  });

  it("gives way to a plain secret", async () => {
    const other = new StoredSecret(printScramVerifier(await buildScramVerifier(crypto, utf8("foo"), 2)));
    expect((await dialogue(login(plain, await provenKeys()), "scram-sha-256", other)).step).toEqual({ kind: "ok" });
  });
});

it("derives keys once for one server and password", async () => {
  const own = new TestCrypto();
  const cache = new ScramKeyCache(own);
  for (let i = 0; i < 3; i++) {
    expect((await dialogue(login(plain, null, cache), "scram-sha-256", scram)).step).toEqual({ kind: "ok" });
  }
  expect(own.pbkdf2Calls).toBe(1);
});

describe("a server out of line", () => {
  const fail = (log: string, clientMessage: string | null = null) => ({ kind: "fail", log, clientMessage });
  const noMechanism = "none of the server's SASL authentication mechanisms are supported";

  async function afterFirst(machine: ServerLogin): Promise<string> {
    const step = await machine.receive(10, mechanisms);
    if (step.kind !== "send") throw new Error(step.kind);
    return text(step.body).slice(-24);
  }
  async function afterContinue(machine: ServerLogin): Promise<ServerLoginStep> {
    const nonce = await afterFirst(machine);
    return machine.receive(11, utf8(`r=${nonce}X,s=AAAA,i=1`));
  }

  it.each([
    ["Kerberos", 2, 2],
    ["GSS", 7, 7],
    ["SSPI", 9, 9],
    ["nonsense", 0x7fffffff, 0x7fffffff],
  ])("asks for %s", async (_, code) => {
    expect(await login(plain).receive(code, empty)).toEqual(fail(`unknown/unsupported auth method: ${code}`));
  });

  it("offers no mechanism we speak", async () => {
    const refused = fail(noMechanism, `server login failed: ${noMechanism}`);
    expect(await login(plain).receive(10, utf8("OAUTHBEARER\0\0"))).toEqual(refused);
    expect(await login(plain).receive(10, empty)).toEqual(refused);
  });

  it("sends an MD5 salt of another size", async () => {
    const log = "protocol error: malformed AuthenticationMD5Password message";
    expect(await login(plain).receive(5, utf8("abc"))).toEqual(fail(log));
    expect(await login(plain).receive(5, utf8("abcde"))).toEqual(fail(log));
  });

  it("mixes up the order of SCRAM", async () => {
    const noFirst = "protocol error: AuthenticationSASLContinue without prior AuthenticationSASL";
    const noContinue = "protocol error: AuthenticationSASLFinal without prior AuthenticationSASLContinue";
    expect(await login(plain).receive(11, utf8("r=x,s=AAAA,i=1"))).toEqual(fail(noFirst));
    expect(await login(plain).receive(12, utf8("v=x"))).toEqual(fail(noContinue));

    const twice = login(plain);
    await afterFirst(twice);
    expect(await twice.receive(10, mechanisms)).toEqual(
      fail("protocol error: duplicate AuthenticationSASL message from server"),
    );

    const early = login(plain);
    await afterFirst(early);
    expect(await early.receive(12, utf8("v=x"))).toEqual(fail(noContinue));

    const again = login(plain);
    expect((await afterContinue(again)).kind).toBe("send");
    expect(await again.receive(11, utf8("r=x,s=AAAA,i=1"))).toEqual(
      fail("SCRAM exchange protocol error: received second AuthenticationSASLContinue"),
    );

    const hasty = login(plain);
    const nonce = await afterFirst(hasty);
    const pending = hasty.receive(11, utf8(`r=${nonce}X,s=AAAA,i=1`));
    expect(pending).toBeInstanceOf(Promise);
    expect(hasty.receive(0, empty)).toEqual(fail("protocol error: unexpected authentication request 0"));
    expect((await pending).kind).toBe("fail");
  });

  it("asks for a password after SCRAM began, or twice", async () => {
    const log = "protocol error: duplicate password request from server";
    const asked = login(plain);
    await afterFirst(asked);
    expect(await asked.receive(3, empty)).toEqual(fail(log));
    const twice = login(plain);
    expect((await twice.receive(5, utf8("salt"))).kind).toBe("send");
    expect(await twice.receive(3, empty)).toEqual(fail(log));
  });

  it("cannot prove that it knows the password", async () => {
    const clientMessage = "server login failed: invalid server signature";
    const posing = login(plain);
    await afterContinue(posing);
    const signature = Buffer.alloc(32).toString("base64");
    expect(await posing.receive(12, utf8(`v=${signature}`))).toEqual(fail("invalid server signature", clientMessage));

    const log = "server ended SCRAM authentication without a signature";
    const silent = login(plain);
    await afterContinue(silent);
    expect(await silent.receive(0, empty)).toEqual(fail(log, clientMessage));
    const quick = login(plain);
    await afterFirst(quick);
    expect(await quick.receive(0, empty)).toEqual(fail(log, clientMessage));
  });

  it("goes on after the end", async () => {
    const done = login(plain);
    expect(await done.receive(0, empty)).toEqual({ kind: "ok" });
    expect(await done.receive(3, empty)).toEqual(fail("protocol error: unexpected authentication request 3"));
    expect(await done.receive(0, empty)).toEqual(fail("protocol error: unexpected authentication request 0"));
  });

  it("sends any bytes: no step throws, and SCRAM never ends well", async () => {
    const code = fc.constantFrom(0, 3, 5, 10, 11, 12, 8);
    const payload = fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.constantFrom(mechanisms, utf8("salt"), utf8("v=AAAA")),
    );
    const requests = fc.array(fc.tuple(code, payload), { maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(requests, fc.constantFrom(plain, md5, scram, null), async (sent, secret) => {
        const machine = login(secret);
        let begun = false;
        for (const [number, bytes] of sent) {
          const step = await machine.receive(number, bytes);
          if (step.kind === "send" && number === 10) begun = true;
          expect(begun && step.kind === "ok").toBe(false);
          expect(step.kind === "fail" ? step.log : "fine").not.toBe("");
        }
      }),
      { numRuns: 500 },
    );
  });
});
