import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ScramClient } from "../../../src/auth/scram-client.ts";
import { ScramKeyCache } from "../../../src/auth/scram-key-cache.ts";
import { ScramKeys, scramIterationsMax } from "../../../src/auth/scram-keys.ts";
import { TestCrypto, text, utf8 } from "./test-crypto.ts";

const crypto = new TestCrypto();
const salt = Buffer.from("0123456789abcdef").toString("base64");

function started(credential: Uint8Array | ScramKeys = utf8("pencil"), using = crypto) {
  const client = new ScramClient(using, credential, new ScramKeyCache(using));
  const first = text(client.first());
  return { client, first, nonce: first.slice("n,,n=,r=".length) };
}

it("starts without user name and channel binding, with a new nonce of 24 characters", () => {
  const [a, b] = [started(), started()];
  expect(a.first).toMatch(/^n,,n=,r=[A-Za-z0-9+/]{24}$/);
  expect(a.first).not.toBe(b.first);
});

it("answers a good challenge", async () => {
  const { client, nonce } = started();
  const reply = await client.receiveFirst(utf8(`r=${nonce}XYZ,s=${salt},i=1`));
  expect(reply.ok && text(reply.message)).toMatch(/^c=biws,r=.{24}XYZ,p=[A-Za-z0-9+/]{43}=$/);
});

describe("a bad server-first-message is refused", () => {
  it.each([
    ["nothing", () => "", "empty message"],
    ["no nonce", () => `s=${salt},i=1`, 'attribute "r" expected'],
    ["another nonce", () => `r=${"A".repeat(30)},s=${salt},i=1`, "nonce mismatch"],
    ["the client's nonce with nothing added", (n: string) => `r=${n},s=${salt},i=1`, "nonce mismatch"],
    ["a cut nonce", (n: string) => `r=${n.slice(0, 10)},s=${salt},i=1`, "nonce mismatch"],
    ["a nonce that does not print", (n: string) => `r=${n}\x7f,s=${salt},i=1`, "nonce mismatch"],
    ["a nonce that is too long", (n: string) => `r=${n}${"x".repeat(500)},s=${salt},i=1`, "nonce mismatch"],
    ["no salt", (n: string) => `r=${n}X,i=1`, 'attribute "s" expected'],
    ["an empty salt", (n: string) => `r=${n}X,s=,i=1`, "invalid salt"],
    ["a bad salt", (n: string) => `r=${n}X,s=!!!!,i=1`, "invalid salt"],
    ["no iterations", (n: string) => `r=${n}X,s=${salt}`, 'attribute "i" expected'],
    ["zero iterations", (n: string) => `r=${n}X,s=${salt},i=0`, "invalid iteration count"],
    ["negative iterations", (n: string) => `r=${n}X,s=${salt},i=-1`, "invalid iteration count"],
    ["iterations that are no number", (n: string) => `r=${n}X,s=${salt},i=1e3`, "invalid iteration count"],
    ["ruinous iterations", (n: string) => `r=${n}X,s=${salt},i=${scramIterationsMax + 1}`, "invalid iteration count"],
    ["more at the end", (n: string) => `r=${n}X,s=${salt},i=1,x=1`, "garbage at end"],
    ["a mandatory extension", (n: string) => `m=x,r=${n}X,s=${salt},i=1`, 'attribute "r" expected'],
    ["a zero", (n: string) => `r=${n}X,s=${salt},i=1\0`, "length mismatch"],
    ["too many bytes", (n: string) => `r=${n}X,s=${"A".repeat(4096)},i=1`, "message too long"],
  ])("with %s", async (_, message, reason) => {
    const own = new TestCrypto();
    const { client, nonce } = started(utf8("pencil"), own);
    expect(await client.receiveFirst(utf8(message(nonce)))).toMatchObject({
      ok: false,
      reason: expect.stringContaining(reason),
    });
    expect(own.pbkdf2Calls).toBe(0);
  });
});

describe("a bad server-final-message is refused", () => {
  it.each([
    ["nothing", "", "empty message"],
    ["an error", "e=other-error", "error received from server in SCRAM exchange: other-error"],
    ["another attribute", "x=1", 'attribute "v" expected'],
    ["a short signature", "v=AAAA", "malformed server signature"],
    ["an empty signature", "v=", "malformed server signature"],
    ["a wrong signature", `v=${Buffer.alloc(32).toString("base64")}`, "invalid server signature"],
    ["more at the end", `v=${Buffer.alloc(32).toString("base64")},x=1`, "garbage at end"],
  ])("with %s", async (_, message, reason) => {
    const { client, nonce } = started();
    expect((await client.receiveFirst(utf8(`r=${nonce}X,s=${salt},i=1`))).ok).toBe(true);
    expect(client.receiveFinal(utf8(message))?.reason).toContain(reason);
  });
});

it("does not wait with proven keys", () => {
  const keys = new ScramKeys(new Uint8Array(32).fill(1), new Uint8Array(32).fill(2));
  const { client, nonce } = started(keys);
  expect(client.receiveFirst(utf8(`r=${nonce}X,s=${salt},i=1`))).toMatchObject({ ok: true });
});

it("turns a failing crypto library into a failure", async () => {
  const own = new TestCrypto();
  own.pbkdf2Error = new Error("out of memory");
  const { client, nonce } = started(utf8("pencil"), own);
  expect(await client.receiveFirst(utf8(`r=${nonce}X,s=${salt},i=1`))).toEqual({
    ok: false,
    reason: "SCRAM key derivation failed: out of memory",
  });
  expect(client.receiveFinal(utf8("v=")) !== null).toBe(true);
});

it("refuses messages out of order, also while it derives keys", async () => {
  const out = { ok: false, reason: "SCRAM exchange protocol error: message out of order" };
  const early = new ScramClient(crypto, utf8("x"), new ScramKeyCache(crypto));
  expect(early.receiveFirst(utf8("r=,s=,i="))).toEqual(out);
  expect(started().client.receiveFinal(utf8("v="))).toEqual(out);

  const { client, nonce } = started();
  const pending = client.receiveFirst(utf8(`r=${nonce}X,s=${salt},i=1`));
  expect(pending).toBeInstanceOf(Promise);
  expect(client.receiveFirst(utf8(`r=${nonce}X,s=${salt},i=1`))).toEqual(out);
  expect(await pending).toEqual(out);
});

it("answers any bytes with a failure, never by throwing", async () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 100 }),
    fc.array(fc.constantFrom("r", "s", "i", "v", "e", "=", ",", "1", salt, "\0")).map((parts) => utf8(parts.join(""))),
  );
  await fc.assert(
    fc.asyncProperty(bytes, bytes, async (first, final) => {
      expect((await started().client.receiveFirst(first)).ok).toBe(false);
      const { client, nonce } = started();
      await client.receiveFirst(utf8(`r=${nonce}X,s=${salt},i=1`));
      expect(client.receiveFinal(final)?.ok).toBe(false);
    }),
    { numRuns: 300 },
  );
});
