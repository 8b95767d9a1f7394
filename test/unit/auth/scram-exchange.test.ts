/**
 * Both SCRAM machines against each other, and each against an implementation that is not ours (node-postgres' client).
 */
import { createRequire } from "node:module";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ScramClient } from "../../../src/auth/scram-client.ts";
import { ScramKeyCache } from "../../../src/auth/scram-key-cache.ts";
import { ScramKeys } from "../../../src/auth/scram-keys.ts";
import { ScramServer } from "../../../src/auth/scram-server.ts";
import { buildScramVerifier, mockScramVerifier } from "../../../src/auth/scram-verifier.ts";
import type { ScramVerifier } from "../../../src/auth/scram-verifier.ts";
import { TestCrypto, text, utf8 } from "./test-crypto.ts";

const crypto = new TestCrypto();
const password = fc.oneof(fc.string({ minLength: 1 }), fc.string({ unit: "binary", minLength: 1 }));

type Tamper = (message: Uint8Array, step: number) => Uint8Array;

/** Where the exchange ended: "ok" with the keys the server recovered, or whose refusal it was. */
async function exchange(
  credential: Uint8Array | ScramKeys,
  verifier: ScramVerifier,
  doomed = false,
  tamper: Tamper = (message) => message,
): Promise<{ end: "ok"; keys: ScramKeys } | { end: "server" | "client"; reason: string }> {
  const client = new ScramClient(crypto, credential, new ScramKeyCache(crypto));
  const server = new ScramServer(crypto);
  const refused = server.readFirst(tamper(client.first(), 0));
  if (refused !== null) return { end: "server", reason: refused.reason };
  const challenge = server.challenge(verifier, doomed);
  if (!(challenge instanceof Uint8Array)) return { end: "server", reason: challenge.reason };
  const reply = await client.receiveFirst(tamper(challenge, 1));
  if (!reply.ok) return { end: "client", reason: reply.reason };
  const result = server.receiveFinal(tamper(reply.message, 2));
  if (!result.ok) return { end: "server", reason: result.reason };
  const mistrust = client.receiveFinal(tamper(result.message, 3));
  if (mistrust !== null) return { end: "client", reason: mistrust.reason };
  return { end: "ok", keys: result.keys };
}

describe("client and server", () => {
  it("agree on any password, by password and by the recovered keys", async () => {
    await fc.assert(
      fc.asyncProperty(password, fc.integer({ min: 1, max: 5 }), async (typed, iterations) => {
        const verifier = await buildScramVerifier(crypto, utf8(typed), iterations);
        const first = await exchange(utf8(typed), verifier);
        if (first.end !== "ok") throw new Error(first.reason);
        expect(crypto.sha256(first.keys.clientKey)).toEqual(verifier.storedKey);
        const again = await exchange(first.keys, verifier);
        if (again.end !== "ok") throw new Error(again.reason);
        expect(Buffer.from(again.keys.clientKey)).toEqual(Buffer.from(first.keys.clientKey));
      }),
    );
  });

  it("never agree on a wrong password", async () => {
    await fc.assert(
      fc.asyncProperty(password, password, async (right, wrong) => {
        fc.pre(right.normalize("NFKC") !== wrong.normalize("NFKC"));
        const verifier = await buildScramVerifier(crypto, utf8(right), 1);
        const failed = { end: "server", reason: "password authentication failed" };
        // Two spellings may still be one after SASLprep: then they agree as in PostgreSQL.
        const same = await buildScramVerifier(crypto, utf8(wrong), 1, verifier.salt);
        fc.pre(!Buffer.from(same.storedKey).equals(Buffer.from(verifier.storedKey)));
        expect(await exchange(utf8(wrong), verifier)).toEqual(failed);
        expect(await exchange(utf8(`${right}x`), verifier)).toEqual(failed);
      }),
    );
  });

  it("never agree when the exchange is doomed, even on the right password", async () => {
    const verifier = await buildScramVerifier(crypto, utf8("right"), 2);
    expect((await exchange(utf8("right"), verifier, false)).end).toBe("ok");
    expect(await exchange(utf8("right"), verifier, true)).toEqual({
      end: "server",
      reason: "password authentication failed",
    });
  });

  it("never agree on a mocked verifier", async () => {
    await fc.assert(
      fc.asyncProperty(password, fc.string(), async (typed, user) => {
        const mock = mockScramVerifier(crypto, user, 1, crypto.randomBytes(32));
        expect((await exchange(utf8(typed), mock, false)).end).toBe("server");
      }),
      { numRuns: 30 },
    );
  });

  it("do not agree with someone else's keys, and notice a server without the ServerKey", async () => {
    const verifier = await buildScramVerifier(crypto, utf8("a"), 1);
    const good = await exchange(utf8("a"), verifier);
    if (good.end !== "ok") throw new Error(good.reason);
    const foreign = new ScramKeys(crypto.randomBytes(32), verifier.serverKey);
    expect(await exchange(foreign, verifier)).toMatchObject({ end: "server" });
    const posing = new ScramKeys(good.keys.clientKey, crypto.randomBytes(32));
    expect(await exchange(posing, verifier)).toEqual({ end: "client", reason: "invalid server signature" });
  });
});

describe("a man in the middle", () => {
  it("who changes, drops or adds any one byte makes the login fail", async () => {
    const verifier = await buildScramVerifier(crypto, utf8("pencil"), 1);
    const change = fc.record({
      step: fc.nat(3),
      at: fc.nat(),
      byte: fc.nat(255),
      kind: fc.constantFrom("set", "drop", "add"),
    });
    await fc.assert(
      fc.asyncProperty(change, async ({ step, at, byte, kind }) => {
        let changed = false;
        const result = await exchange(utf8("pencil"), verifier, false, (message, number) => {
          if (number !== step) return message;
          const index = at % message.length;
          const tail = message.subarray(kind === "add" ? index : index + 1);
          const middle = kind === "drop" ? [] : [byte];
          const altered = Buffer.concat([message.subarray(0, index), Uint8Array.from(middle), tail]);
          changed = !altered.equals(message);
          return altered;
        });
        fc.pre(changed);
        expect(result.end).not.toBe("ok");
      }),
      { numRuns: 1500 },
    );
  });

  it("who cuts any message anywhere makes the login fail", async () => {
    const verifier = await buildScramVerifier(crypto, utf8("pencil"), 1);
    for (let step = 0; step < 4; step++) {
      for (let length = 0, whole = 1; length < whole; length++) {
        const result = await exchange(utf8("pencil"), verifier, false, (message, number) => {
          if (number !== step) return message;
          whole = message.length;
          return message.subarray(0, length);
        });
        expect(result.end, `message ${step} cut to ${length} bytes`).not.toBe("ok");
      }
    }
  });
});

describe("node-postgres as the client", () => {
  const sasl = createRequire(import.meta.url)("pg/lib/crypto/sasl.js") as {
    startSession(mechanisms: string[]): { response: string };
    continueSession(session: object, password: string, serverFirst: string): Promise<void>;
    finalizeSession(session: object, serverFinal: string): void;
  };

  it.each(["pencil", "pässwörd", "\u2168 nbsp\u00a0", "p,=a"])("logs in with %j", async (typed) => {
    const verifier = await buildScramVerifier(crypto, utf8(typed), 4096);
    const session = sasl.startSession(["SCRAM-SHA-256"]);
    const server = new ScramServer(crypto);
    expect(server.readFirst(utf8(session.response))).toBeNull();
    const challenge = server.challenge(verifier, false);
    if (!(challenge instanceof Uint8Array)) throw new Error(challenge.reason);
    await sasl.continueSession(session, typed, text(challenge));
    const result = server.receiveFinal(utf8(session.response));
    if (!result.ok) throw new Error(result.reason);
    expect(() => sasl.finalizeSession(session, text(result.message))).not.toThrow();
  });
});
