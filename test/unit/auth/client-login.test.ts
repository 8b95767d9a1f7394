import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { AuthRequest } from "../../../src/auth/auth-request.ts";
import { AuthMethod, ClientLogin } from "../../../src/auth/client-login.ts";
import type { ClientLoginOptions, ClientLoginStep } from "../../../src/auth/client-login.ts";
import { md5Response, md5Secret } from "../../../src/auth/md5.ts";
import { printPassword, printSaslInitialResponse } from "../../../src/auth/password-message.ts";
import { ScramClient } from "../../../src/auth/scram-client.ts";
import { ScramKeyCache } from "../../../src/auth/scram-key-cache.ts";
import { buildScramVerifier, printScramVerifier } from "../../../src/auth/scram-verifier.ts";
import { StoredSecret } from "../../../src/auth/stored-secret.ts";
import { VerifierCache } from "../../../src/auth/verifier-cache.ts";
import { TestCrypto, text, utf8 } from "./test-crypto.ts";

const crypto = new TestCrypto();
const plain = new StoredSecret("foo");
const md5 = new StoredSecret(md5Secret(crypto, utf8("foo"), "alice"));
const scram = new StoredSecret(printScramVerifier(await buildScramVerifier(crypto, utf8("foo"), 2)));
const none = new StoredSecret("");
const mockSecret = crypto.randomBytes(32);

function login(method: AuthMethod, secret: StoredSecret | null, changes: Partial<ClientLoginOptions> = {}) {
  return new ClientLogin({
    crypto,
    method,
    user: "alice",
    secret,
    hasForcedUser: false,
    scramIterations: 2,
    verifiers: new VerifierCache(crypto),
    mockSecret,
    ...changes,
  });
}

/** Plays a client that knows `password`, by whatever method it is asked for; gives the last step and the codes asked. */
async function play(machine: ClientLogin, password: string): Promise<{ last: ClientLoginStep; codes: number[] }> {
  const scramClient = new ScramClient(crypto, utf8(password), new ScramKeyCache(crypto));
  const codes: number[] = [];
  let step = machine.start();
  while (step.kind === "ask") {
    codes.push(step.request.code);
    step = await machine.receive(await answer(step.request, password, scramClient));
  }
  if (step.kind !== "ok" || step.request === null) return { last: step, codes };
  const mistrust = step.request.code === 12 ? scramClient.receiveFinal(step.request.payload) : { reason: "not SASL" };
  if (mistrust !== null) throw new Error(mistrust.reason);
  return { last: step, codes };
}

async function answer({ code, payload }: AuthRequest, password: string, client: ScramClient): Promise<Uint8Array> {
  switch (code) {
    case 3:
      return printPassword(utf8(password));
    case 5:
      return printPassword(utf8(md5Response(crypto, new StoredSecret(password), "alice", payload) ?? ""));
    case 10:
      if (text(payload) !== "SCRAM-SHA-256\0\0") throw new Error(`offered ${text(payload)}`);
      return printSaslInitialResponse("SCRAM-SHA-256", client.first());
    case 11: {
      const reply = await client.receiveFirst(payload);
      if (!reply.ok) throw new Error(reply.reason);
      return reply.message;
    }
    default:
      throw new Error(`asked for ${code}`);
  }
}

const passwordFailed = "password authentication failed";
const saslFailed = "SASL authentication failed";

describe("the table of methods and secrets, right password", () => {
  const cases: [AuthMethod, string, StoredSecret | null, number[], string][] = [
    ["plain", "plain", plain, [3], "ok"],
    ["plain", "md5", md5, [3], "ok"],
    ["plain", "scram", scram, [3], "ok"],
    ["plain", "empty", none, [3], passwordFailed],
    ["plain", "unknown", null, [3], passwordFailed],
    ["md5", "plain", plain, [5], "ok"],
    ["md5", "md5", md5, [5], "ok"],
    ["md5", "scram", scram, [10, 11], "ok"],
    ["md5", "empty", none, [5], passwordFailed],
    ["md5", "unknown", null, [5], passwordFailed],
    ["scram-sha-256", "plain", plain, [10, 11], "ok"],
    ["scram-sha-256", "md5", md5, [10, 11], saslFailed],
    ["scram-sha-256", "scram", scram, [10, 11], "ok"],
    ["scram-sha-256", "empty", none, [10, 11], saslFailed],
    ["scram-sha-256", "unknown", null, [10, 11], saslFailed],
    ["trust", "plain", plain, [], "ok"],
    ["trust", "empty", none, [], "ok"],
    ["trust", "unknown", null, [], '"trust" authentication failed'],
  ];

  it.each(cases)("%s with %s secret", async (method, _, secret, codes, end) => {
    const played = await play(login(method, secret), "foo");
    expect(played.codes).toEqual(codes);
    expect(played.last.kind === "fail" ? played.last.message : played.last.kind).toBe(end);
  });

  it.each(cases.filter(([method]) => method !== "trust"))(
    "%s with %s secret: no wrong password passes",
    async (method, _, secret) => {
      for (const wrong of ["fo", "foo ", "FOO", "x"]) {
        const { last, codes } = await play(login(method, secret), wrong);
        expect(last).toMatchObject({ kind: "fail", message: codes[0] === 10 ? saslFailed : passwordFailed });
      }
    },
  );
});

describe("auth_type any", () => {
  it("lets anyone in where the entry has a forced user", () => {
    for (const secret of [plain, none, null]) {
      const step = login(AuthMethod.any, secret, { hasForcedUser: true }).start();
      expect(step).toEqual({ kind: "ok", request: null, scramKeys: null, password: null, log: null });
    }
  });

  it("is a configuration error elsewhere", () => {
    expect(login(AuthMethod.any, plain).start()).toEqual({
      kind: "fail",
      message: "bouncer config error",
      log: "auth_type=any requires forced user",
    });
  });
});

describe("pass-through", () => {
  it("hands over the client's keys if, and only if, they were proven against a stored verifier", async () => {
    const against = async (method: AuthMethod, secret: StoredSecret) => {
      const { last } = await play(login(method, secret), "foo");
      return last.kind === "ok" ? last.scramKeys : "failed";
    };
    const keys = await against("scram-sha-256", scram);
    if (keys === null || keys === "failed") throw new Error("no keys");
    expect(crypto.sha256(keys.clientKey)).toEqual(Buffer.from(scram.verifier?.storedKey ?? []));
    expect(Buffer.from(keys.serverKey)).toEqual(Buffer.from(scram.verifier?.serverKey ?? []));
    expect(await against("md5", scram)).not.toBeNull();
    expect(await against("scram-sha-256", plain)).toBeNull();
    expect(await against("plain", scram)).toBeNull();
    expect(await against("md5", md5)).toBeNull();
  });
});

describe("an unknown user", () => {
  async function challengeOf(secret: StoredSecret | null, user = "alice", iterations = 4096) {
    const machine = login("scram-sha-256", secret, { user, scramIterations: iterations });
    machine.start();
    const step = await machine.receive(printSaslInitialResponse("SCRAM-SHA-256", utf8("n,,n=,r=abc")));
    if (step.kind !== "ask") throw new Error(step.kind);
    return text(step.request.payload).replace(/^r=abc.{24}/, "r=*");
  }

  it("gets the same salt each time, as a known one does, and another than other users", async () => {
    expect(await challengeOf(null)).toBe(await challengeOf(null));
    expect(await challengeOf(null)).toMatch(/^r=\*,s=[A-Za-z0-9+/]{22}==,i=4096$/);
    expect(await challengeOf(null)).not.toBe(await challengeOf(null, "bob"));
  });

  it("cannot be told from users whose secret cannot do SCRAM", async () => {
    expect(await challengeOf(md5)).toBe(await challengeOf(null));
    expect(await challengeOf(none)).toBe(await challengeOf(null));
  });
});

it("says in the log, and only there, that a user has an md5 secret", async () => {
  expect((await play(login("scram-sha-256", md5), "foo")).last).toEqual({
    kind: "fail",
    message: saslFailed,
    log: "SCRAM authentication failed: user has MD5 secret",
  });
});

it("makes the verifier of a plain secret once", async () => {
  const own = new TestCrypto();
  const verifiers = new VerifierCache(own);
  for (let i = 0; i < 3; i++) {
    expect((await play(login("scram-sha-256", plain, { crypto: own, verifiers }), "foo")).last.kind).toBe("ok");
  }
  expect(own.pbkdf2Calls).toBe(1);
});

it("waits only where PBKDF2 runs", () => {
  const first = printSaslInitialResponse("SCRAM-SHA-256", utf8("n,,n=,r=abc"));
  const started = (method: AuthMethod, secret: StoredSecret | null) => {
    const machine = login(method, secret);
    machine.start();
    return machine;
  };
  expect(started("plain", plain).receive(printPassword(utf8("foo")))).toMatchObject({ kind: "ok" });
  expect(started("plain", scram).receive(printPassword(utf8("foo")))).toBeInstanceOf(Promise);
  expect(started("scram-sha-256", scram).receive(first)).toMatchObject({ kind: "ask" });
  expect(started("scram-sha-256", null).receive(first)).toMatchObject({ kind: "ask" });
  expect(started("scram-sha-256", plain).receive(first)).toBeInstanceOf(Promise);
});

describe("bad messages", () => {
  const sasl = (mechanism: string, data: string) => printSaslInitialResponse(mechanism, utf8(data));

  it.each<[string, AuthMethod, Uint8Array, string]>([
    ["an empty password", "plain", utf8("\0"), "empty password returned by client"],
    ["an empty md5 response", "md5", utf8("\0"), "empty password returned by client"],
    ["a password without its zero", "plain", utf8("foo"), "invalid password packet size"],
    ["a password with bytes behind it", "plain", utf8("foo\0x"), "invalid password packet size"],
    ["no password", "md5", utf8(""), "invalid password packet size"],
    ["a plain password where md5 was asked", "md5", utf8("foo\0"), passwordFailed],
    ["a password that is too long", "plain", utf8(`${"x".repeat(65_531)}\0`), passwordFailed],
    [
      "another mechanism",
      "scram-sha-256",
      sasl("PLAIN", "x"),
      "client selected an invalid SASL authentication mechanism",
    ],
    [
      "the mechanism with channel binding",
      "scram-sha-256",
      sasl("SCRAM-SHA-256-PLUS", "p=x,,n=,r=abc"),
      "client selected an invalid SASL authentication mechanism",
    ],
    ["a password where SASL was asked", "scram-sha-256", utf8("foo\0"), saslFailed],
    ["channel binding", "scram-sha-256", sasl("SCRAM-SHA-256", "p=x,,n=,r=abc"), saslFailed],
    ["no initial response", "scram-sha-256", utf8("SCRAM-SHA-256\0\xff\xff\xff\xff"), saslFailed],
    ["an empty initial response", "scram-sha-256", sasl("SCRAM-SHA-256", ""), saslFailed],
  ])("%s", async (_, method, body, message) => {
    const machine = login(method, plain);
    machine.start();
    expect(await machine.receive(body)).toMatchObject({ kind: "fail", message });
    expect(await machine.receive(printPassword(utf8("foo")))).toMatchObject({ kind: "fail" });
  });

  it("takes the longest password, and not one byte more", async () => {
    const longest = "x".repeat(65_530);
    expect((await play(login("plain", new StoredSecret(longest)), longest)).last.kind).toBe("ok");
    const longer = `${longest}x`;
    expect((await play(login("plain", new StoredSecret(longer)), longer)).last.kind).toBe("fail");
  });

  it("refuses every message that was not asked for", async () => {
    const right = printPassword(utf8("foo"));
    expect(login("plain", plain).receive(right)).toMatchObject({ kind: "fail" });
    const trusted = login("trust", plain);
    trusted.start();
    expect(trusted.receive(right)).toMatchObject({ kind: "fail" });
    const done = login("plain", plain);
    done.start();
    expect(await done.receive(right)).toMatchObject({ kind: "ok" });
    expect(done.receive(right)).toMatchObject({ kind: "fail" });
    expect(done.start()).toMatchObject({ kind: "fail" });
  });

  it.each<[AuthMethod, StoredSecret, Uint8Array]>([
    ["plain", scram, printPassword(utf8("foo"))],
    ["scram-sha-256", plain, sasl("SCRAM-SHA-256", "n,,n=,r=abc")],
  ])("a second message while %s is being computed ends the login", async (method, secret, body) => {
    const machine = login(method, secret);
    machine.start();
    const pending = machine.receive(body);
    expect(pending).toBeInstanceOf(Promise);
    expect(machine.receive(body)).toMatchObject({ kind: "fail" });
    expect(await pending).toMatchObject({ kind: "fail" });
  });

  it("a failing crypto library fails the login", async () => {
    const own = new TestCrypto();
    own.pbkdf2Error = new Error("out of memory");
    const log = "SCRAM key derivation failed: out of memory";
    const changes = { crypto: own, verifiers: new VerifierCache(own) };
    const cleartext = login("plain", scram, changes);
    cleartext.start();
    const step = await cleartext.receive(printPassword(utf8("foo")));
    expect(step).toEqual({ kind: "fail", message: passwordFailed, log });
    const challenge = login("scram-sha-256", plain, changes);
    challenge.start();
    expect(await challenge.receive(sasl("SCRAM-SHA-256", "n,,n=,r=abc"))).toEqual({
      kind: "fail",
      message: saslFailed,
      log,
    });
  });

  it("no bytes at all get in, or throw", async () => {
    const methods = fc.constantFrom<AuthMethod>("plain", "md5", "scram-sha-256");
    const secrets = fc.constantFrom(plain, md5, scram, none, null);
    const body = fc.oneof(
      fc.uint8Array({ maxLength: 60 }),
      fc.uint8Array({ maxLength: 60 }).map(printPassword),
      fc.uint8Array({ maxLength: 60 }).map((data) => printSaslInitialResponse("SCRAM-SHA-256", data)),
      fc.string({ maxLength: 9 }).map((data) => sasl("SCRAM-SHA-256", `n,,n=,r=${data}`)),
    );
    await fc.assert(
      fc.asyncProperty(
        methods,
        secrets,
        fc.array(body, { minLength: 1, maxLength: 4 }),
        async (method, secret, bodies) => {
          const machine = login(method, secret);
          machine.start();
          for (const each of bodies) expect((await machine.receive(each)).kind).not.toBe("ok");
        },
      ),
      { numRuns: 500 },
    );
  });
});
