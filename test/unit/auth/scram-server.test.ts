import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ScramServer } from "../../../src/auth/scram-server.ts";
import { buildScramVerifier } from "../../../src/auth/scram-verifier.ts";
import { TestCrypto, text, utf8 } from "./test-crypto.ts";

const crypto = new TestCrypto();
const verifier = await buildScramVerifier(crypto, utf8("pencil"), 1);
const proof = Buffer.alloc(32).toString("base64");

/** A server that has sent its challenge; `nonce` is the one to come back. */
function challenged(first = "n,,n=,r=abc") {
  const server = new ScramServer(crypto);
  expect(server.readFirst(utf8(first))).toBeNull();
  const challenge = server.challenge(verifier, false);
  if (!(challenge instanceof Uint8Array)) throw new Error(challenge.reason);
  const nonce = /^r=([^,]*),/.exec(text(challenge))?.[1] ?? "";
  return { server, challenge: text(challenge), nonce };
}

describe("the client-first-message", () => {
  it.each(["n,,n=,r=abc", "y,,n=*,r=abc", "n,,n=usér,r=!#$", "n,,n=,r=abc,x=1,y=", `n,,n=,r=${"x".repeat(512)}`])(
    "is taken: %s",
    (message) => {
      expect(new ScramServer(crypto).readFirst(utf8(message))).toBeNull();
    },
  );

  it.each([
    ["nothing", "", "empty message"],
    ["channel binding", "p=tls-server-end-point,,n=,r=abc", "channel binding, but it is not supported"],
    ["another flag", "x,,n=,r=abc", "unexpected channel-binding flag"],
    ["no comma after the flag", "nn,n=,r=abc", "comma expected"],
    ["an authorization identity", "n,a=bob,n=,r=abc", "authorization identity"],
    ["something else in its place", "n,b=bob,n=,r=abc", "unexpected attribute"],
    ["a mandatory extension", "n,,m=x,n=,r=abc", "unsupported SCRAM extension"],
    ["no user name", "n,,r=abc", 'attribute "n" expected'],
    ["no nonce", "n,,n=", 'attribute "r" expected'],
    ["no equals sign", "n,,n=,rabc", 'expected character "="'],
    ["an empty nonce", "n,,n=,r=", "non-printable characters in SCRAM nonce"],
    ["a blank in the nonce", "n,,n=,r=a c", "non-printable characters in SCRAM nonce"],
    ["a nonce beyond ASCII", "n,,n=,r=aéc", "non-printable characters in SCRAM nonce"],
    ["a nonce that is too long", `n,,n=,r=${"x".repeat(513)}`, "nonce too long"],
    ["too many bytes", `n,,n=${"u".repeat(1020)},r=abc`, "message too long"],
    ["a zero", "n,,n=,r=abc\0", "length mismatch"],
    ["a malformed extension", "n,,n=,r=abc,1=2", "invalid character"],
    ["an empty extension", "n,,n=,r=abc,,x=1", "invalid character"],
  ])("is refused with %s", (_, message, reason) => {
    expect(new ScramServer(crypto).readFirst(utf8(message))?.reason).toContain(reason);
  });
});

describe("the challenge", () => {
  it("extends the client's nonce by a new one of 24 characters, and carries salt and iterations", () => {
    const [a, b] = [challenged(), challenged()];
    expect(a.challenge).toMatch(/^r=abc[A-Za-z0-9+/]{24},s=[A-Za-z0-9+/=]{24},i=1$/);
    expect(a.nonce).not.toBe(b.nonce);
  });
});

describe("the client-final-message", () => {
  it.each([
    ["nothing", () => "", "empty message"],
    ["the other flag's binding", (n: string) => `c=eSws,r=${n},p=${proof}`, "channel-binding attribute"],
    ["no binding", (n: string) => `r=${n},p=${proof}`, 'attribute "c" expected'],
    ["no nonce", () => `c=biws,p=${proof}`, 'attribute "r" expected'],
    ["the client's nonce alone", () => `c=biws,r=abc,p=${proof}`, "nonce does not match"],
    ["a cut nonce", (n: string) => `c=biws,r=${n.slice(0, -1)},p=${proof}`, "nonce does not match"],
    ["a longer nonce", (n: string) => `c=biws,r=${n}A,p=${proof}`, "nonce does not match"],
    ["no proof", (n: string) => `c=biws,r=${n}`, "could not read proof"],
    ["only extensions", (n: string) => `c=biws,r=${n},x=1`, "could not read proof"],
    ["a short proof", (n: string) => `c=biws,r=${n},p=AAAA`, "malformed proof"],
    ["a proof without padding", (n: string) => `c=biws,r=${n},p=${proof.slice(0, -1)}`, "malformed proof"],
    ["something after the proof", (n: string) => `c=biws,r=${n},p=${proof},x=1`, "garbage at the end"],
    ["a comma after the proof", (n: string) => `c=biws,r=${n},p=${proof},`, "garbage at the end"],
    ["a wrong proof", (n: string) => `c=biws,r=${n},p=${proof}`, "password authentication failed"],
    ["a zero", (n: string) => `c=biws,r=${n},p=${proof}\0`, "length mismatch"],
    ["too many bytes", (n: string) => `c=biws,r=${n},x=${"y".repeat(1000)},p=${proof}`, "message too long"],
  ])("is refused with %s", (_, message, reason) => {
    const { server, nonce } = challenged();
    expect(server.receiveFinal(utf8(message(nonce)))).toMatchObject({
      ok: false,
      reason: expect.stringContaining(reason),
    });
  });

  it("must bind the flag that was sent first", () => {
    const { server, nonce } = challenged("y,,n=,r=abc");
    expect(server.receiveFinal(utf8(`c=biws,r=${nonce},p=${proof}`))).toMatchObject({
      reason: "unexpected SCRAM channel-binding attribute in client-final-message",
    });
    const right = challenged("y,,n=,r=abc");
    expect(right.server.receiveFinal(utf8(`c=eSws,r=${right.nonce},p=${proof}`))).toMatchObject({
      reason: "password authentication failed",
    });
  });
});

it("refuses every call that is not the next one, and everything after a failure", () => {
  const out = { ok: false, reason: "SCRAM exchange protocol error: message out of order" };
  const calls = {
    readFirst: (server: ScramServer) => server.readFirst(utf8("n,,n=,r=abc")),
    challenge: (server: ScramServer) => server.challenge(verifier, false),
    receiveFinal: (server: ScramServer) => server.receiveFinal(utf8("c=biws,r=abc")),
  };
  const order = ["readFirst", "challenge", "receiveFinal"] as const;
  for (let done = 0; done <= order.length; done++) {
    for (const name of order) {
      if (name === order[done]) continue;
      const server = new ScramServer(crypto);
      for (const earlier of order.slice(0, done)) calls[earlier](server);
      expect(calls[name](server), `${name} after ${done} steps`).toEqual(out);
      for (const later of order) expect(calls[later](server)).toEqual(out);
    }
  }
});

it("answers any bytes with a failure, never by throwing", () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc
      .array(fc.constantFrom("n", "y", ",", "=", "r", "c", "p", "biws", "m", "a", "\0", "é", "abc"))
      .map((p) => utf8(p.join(""))),
  );
  fc.assert(
    fc.property(bytes, bytes, (first, final) => {
      const fresh = new ScramServer(crypto);
      const failure = fresh.readFirst(first);
      expect(failure?.reason ?? "taken").toMatch(/^[\x20-\x7e]+$/);
      expect(fresh.challenge(verifier, false) instanceof Uint8Array).toBe(failure === null);
      expect(fresh.receiveFinal(final).ok).toBe(false);
      expect(challenged().server.receiveFinal(final).ok).toBe(false);
    }),
    { numRuns: 1000 },
  );
});

it("compares nonce and proof in constant time", () => {
  const { server, nonce } = challenged();
  const before = crypto.comparisons;
  server.receiveFinal(utf8(`c=biws,r=${nonce},p=${proof}`));
  expect(crypto.comparisons - before).toBe(2);
});
