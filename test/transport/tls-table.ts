/**
 * The table of tests of `src/net/transport.ts`, part two: TLS in both roles, as PostgreSQL uses it.
 */
import { X509Certificate } from "node:crypto";
import { expect, test } from "vitest";
import type { TlsSettings } from "../../src/net/transport.ts";
import { createCertificate } from "./certificate.ts";
import type { Certificate } from "./certificate.ts";
import { Recorder } from "./recorder.ts";
import { benches, pattern } from "./subject.ts";
import type { Bench, Subject } from "./subject.ts";

const MEGABYTE = 1024 * 1024;

export function describeTls(subject: Subject): void {
  const bench = benches(subject);
  const authority = createCertificate({ commonName: "test authority", isAuthority: true });
  const stranger = createCertificate({ commonName: "another authority", isAuthority: true });
  const server = createCertificate({ commonName: "server", altNames: ["db.example", "127.0.0.1"], issuer: authority });
  const bob = createCertificate({ commonName: "bob", issuer: authority });

  const versions = { minVersion: "TLSv1.2", maxVersion: "TLSv1.3" } as const;
  const ofServer: TlsSettings = { ...identity(server), ca: authority.certPem, ...versions };
  const ofClient: TlsSettings = { ca: authority.certPem, serverName: "db.example", ...versions };

  test("secures an open connection in both roles; bytes, addresses and descriptor are the old ones", async () => {
    const { client, server: accepted } = await bench().pair();
    const { fd, remote } = accepted.wire;
    await secure(bench(), client, ofClient, accepted, ofServer);
    expect(accepted.wire.fd).toBe(fd);
    expect(accepted.wire.remote).toEqual(remote);
    client.wire.write(Buffer.from("question"));
    await bench().until(() => accepted.sizeBytes === 8, "the question");
    accepted.wire.write(Buffer.from("answer"));
    await bench().until(() => client.sizeBytes === 6, "the answer");
    expect([accepted.text, client.text]).toEqual(["question", "answer"]);
  });

  test("after a negotiation in clear text nothing of it is lost or mixed in", async () => {
    const { client, server: accepted } = await bench().pair();
    accepted.whenData = () => {
      accepted.whenData = null;
      accepted.wire.write(Buffer.from("S"));
      accepted.wire.startTls("server", ofServer);
    };
    client.whenData = () => {
      client.whenData = null;
      client.wire.startTls("client", ofClient);
    };
    client.wire.write(Buffer.from("SSLREQ??"));
    await bench().until(() => client.peer !== null && accepted.peer !== null, "the handshake");
    client.wire.write(Buffer.from("hello"));
    await bench().until(() => accepted.sizeBytes === 13, "the bytes");
    expect(accepted.text).toBe("SSLREQ??hello");
    expect(client.text).toBe("S");
  });

  test("a handshake resumes a paused connection", async () => {
    const { client, server: accepted } = await bench().pair();
    accepted.wire.pause();
    client.wire.pause();
    await secure(bench(), client, ofClient, accepted, ofServer);
    client.wire.write(Buffer.from("hello"));
    await bench().until(() => accepted.sizeBytes === 5, "the bytes");
    expect(accepted.text).toBe("hello");
  });

  test("reports version, cipher and certificate of the peer", async () => {
    const { client, server: accepted } = await bench().pair();
    await secure(bench(), client, ofClient, accepted, ofServer);
    expect(client.peer).toMatchObject({ version: "TLSv1.3", alpn: null, chainError: null });
    expect(client.peer?.cipher).toMatch(/^TLS_AES_/);
    expect(Buffer.from(client.peer?.certificate ?? []).equals(server.der)).toBe(true);
    expect(new X509Certificate(client.peer?.certificate as Uint8Array).checkHost("db.example")).toBe("db.example");
    expect(accepted.peer).toMatchObject({ version: "TLSv1.3", chainError: null, certificate: null });
  });

  test("keeps to the versions asked for, and names older ciphers as OpenSSL does", async () => {
    const { client, server: accepted } = await bench().pair();
    await secure(bench(), client, { ...ofClient, maxVersion: "TLSv1.2" }, accepted, ofServer);
    expect(client.peer?.version).toBe("TLSv1.2");
    expect(accepted.peer?.version).toBe("TLSv1.2");
    expect(client.peer?.cipher).toMatch(/^ECDHE-ECDSA-/);
  });

  test("keeps to the ciphers asked for", async () => {
    const { client, server: accepted } = await bench().pair();
    const ciphers = "ECDHE-ECDSA-CHACHA20-POLY1305";
    await secure(bench(), client, { ...ofClient, maxVersion: "TLSv1.2", ciphers }, accepted, ofServer);
    expect(accepted.peer?.cipher).toBe(ciphers);
  });

  test("the suites of TLS 1.3 are chosen, or refused where they cannot be", async () => {
    const { client, server: accepted } = await bench().pair();
    accepted.wire.startTls("server", ofServer);
    client.wire.startTls("client", { ...ofClient, tls13Ciphers: "TLS_CHACHA20_POLY1305_SHA256" });
    await bench().until(() => client.peer !== null || client.closed, "the handshake");
    // BoringSSL has no way to choose them: an error, never another suite than the one asked for.
    expect(client.peer?.cipher ?? client.error?.code).toBe(
      subject.choosesTls13Ciphers ? "TLS_CHACHA20_POLY1305_SHA256" : "ENOTSUP",
    );
  });

  test.each([
    ["another authority", { ...ofClient, ca: stranger.certPem }],
    ["no authority at all", { ...versions }],
  ])("reports a chain that does not lead to `ca` and goes on: %s", async (_, settings) => {
    const { client, server: accepted } = await bench().pair();
    await secure(bench(), client, settings, accepted, ofServer);
    expect(client.peer?.chainError).toMatch(/^[A-Z_]+$/);
    expect(Buffer.from(client.peer?.certificate ?? []).equals(server.der)).toBe(true);
  });

  test("a wrong name is no fault of the chain", async () => {
    const { client, server: accepted } = await bench().pair();
    await secure(bench(), client, { ...ofClient, serverName: "wrong.example" }, accepted, ofServer);
    expect(client.peer?.chainError).toBeNull();
  });

  test.each(["TLSv1.2", "TLSv1.3"] as const)("a client certificate is asked for and reported: %s", async (version) => {
    const { client, server: accepted } = await bench().pair();
    await secure(bench(), client, { ...ofClient, ...identity(bob), maxVersion: version }, accepted, {
      ...ofServer,
      requestCertificate: true,
    });
    expect(accepted.peer?.chainError).toBeNull();
    expect(new X509Certificate(accepted.peer?.certificate as Uint8Array).subject).toBe("CN=bob");
  });

  test("a client certificate of a stranger is reported, not refused", async () => {
    const mallory = createCertificate({ commonName: "mallory", issuer: stranger });
    const { client, server: accepted } = await bench().pair();
    await secure(bench(), client, { ...ofClient, ...identity(mallory) }, accepted, {
      ...ofServer,
      requestCertificate: true,
    });
    expect(accepted.peer?.chainError).toMatch(/^[A-Z_]+$/);
    expect(new X509Certificate(accepted.peer?.certificate as Uint8Array).subject).toBe("CN=mallory");
  });

  test("a client that has no certificate may stay without one", async () => {
    const { client, server: accepted } = await bench().pair();
    await secure(bench(), client, ofClient, accepted, { ...ofServer, requestCertificate: true });
    expect(accepted.peer?.certificate).toBeNull();
    expect(accepted.peer?.chainError).toBeNull();
  });

  test("a protocol is agreed on by ALPN", async () => {
    const { client, server: accepted } = await bench().pair();
    const alpn = "postgresql";
    await secure(bench(), client, { ...ofClient, alpn }, accepted, { ...ofServer, alpn });
    expect([client.peer?.alpn, accepted.peer?.alpn]).toEqual([alpn, alpn]);
  });

  test.each([
    ["an ALPN offer without ours", { ...ofClient, alpn: "http/1.1" }, { ...ofServer, alpn: "postgresql" }],
    [
      "no common version",
      { ...ofClient, maxVersion: "TLSv1.2" as const },
      { ...ofServer, minVersion: "TLSv1.3" as const },
    ],
  ])("a handshake that fails ends in onClose with an error on both sides: %s", async (_, clientSide, serverSide) => {
    const { client, server: accepted } = await bench().pair();
    accepted.wire.startTls("server", serverSide);
    client.wire.startTls("client", clientSide);
    await bench().until(() => client.closed && accepted.closed, "both closes");
    expect([client.peer, accepted.peer]).toEqual([null, null]);
    expect(client.error).toBeInstanceOf(Error);
    expect(accepted.error).toBeInstanceOf(Error);
  });

  test("garbage instead of a handshake ends in onClose with an error", async () => {
    const { client, server: accepted } = await bench().pair();
    accepted.wire.startTls("server", ofServer);
    client.wire.write(Buffer.from("Q\0\0\0\x0dSELECT 1\0 and this is not TLS at all"));
    await bench().until(() => accepted.closed, "the close");
    expect(accepted.error).toBeInstanceOf(Error);
    expect(accepted.log).toEqual(["close"]);
  });

  test("a peer that leaves during the handshake ends it", async () => {
    const { client, server: accepted } = await bench().pair();
    accepted.wire.startTls("server", ofServer);
    client.wire.destroy();
    await bench().until(() => accepted.closed || accepted.ended, "the end");
    expect(accepted.peer).toBeNull();
  });

  test.each(["a key that is none", "a cipher nobody has"])(
    "settings that cannot be used end in onClose: %s",
    async (what) => {
      const { server: accepted } = await bench().pair();
      const bad: TlsSettings =
        what === "a cipher nobody has"
          ? { ...ofServer, ciphers: "NO-SUCH-CIPHER" }
          : { ...ofServer, key: Buffer.from("x") };
      accepted.wire.startTls("server", bad);
      expect(accepted.log).toEqual([]);
      await bench().until(() => accepted.closed, "the close");
      expect(accepted.error).toBeInstanceOf(Error);
      expect(accepted.log).toEqual(["close"]);
    },
  );

  test.each(["whole", "cut after one byte", "cut in the middle"])(
    "direct TLS: the first bytes, already received, are handed to the handshake, %s",
    async (how) => {
      const { client, server: accepted } = await bench().pair();
      const { client: relay, server: behind } = await bench().pair();
      // A relay between the two cuts the first flight of the client.
      let first = true;
      accepted.whenData = (bytes) => {
        if (!first) {
          relay.wire.write(bytes);
          return;
        }
        first = false;
        const cut = how === "whole" ? bytes.length : how === "cut after one byte" ? 1 : bytes.length >> 1;
        relay.wire.write(bytes.subarray(0, cut));
        if (cut < bytes.length)
          void bench()
            .quiet()
            .then(() => relay.wire.write(bytes.subarray(cut)));
      };
      relay.whenData = (bytes) => accepted.wire.write(bytes);
      behind.whenData = (bytes) => {
        behind.whenData = null;
        expect(bytes[0]).toBe(0x16);
        behind.wire.startTls("server", { ...ofServer, alpn: "postgresql" }, bytes);
      };
      client.wire.startTls("client", { ...ofClient, alpn: "postgresql" });
      await bench().until(() => client.peer !== null && behind.peer !== null, "the handshake");
      expect(behind.peer?.alpn).toBe("postgresql");
      const before = behind.sizeBytes;
      client.wire.write(Buffer.from("startup"));
      await bench().until(() => behind.sizeBytes === before + 7, "the bytes");
      expect(behind.text.endsWith("startup")).toBe(true);
    },
  );

  test("bytes arrive whole under partial writes, pauses and half-close", async () => {
    const { client, server: accepted } = await bench().pair();
    await secure(bench(), client, ofClient, accepted, ofServer);
    const bytes = pattern(8 * MEGABYTE);
    accepted.wire.pause();
    let held = 0;
    for (let at = 0; at < bytes.length; at += 50_000) held = client.wire.write(bytes.subarray(at, at + 50_000));
    expect(held).toBeGreaterThan(0);
    client.wire.end();
    await bench().quiet();
    const readAhead = accepted.sizeBytes;
    await bench().quiet();
    expect(accepted.sizeBytes).toBe(readAhead);
    accepted.wire.resume();
    await bench().until(() => accepted.ended, "the FIN");
    expect(accepted.bytes.equals(bytes)).toBe(true);
    accepted.wire.write(Buffer.from("all of it"));
    await bench().until(() => client.sizeBytes === 9, "the answer");
    accepted.wire.end();
    await bench().until(() => client.closed && accepted.closed, "both closes");
    expect([client.error, accepted.error]).toEqual([null, null]);
  });

  test("pauses in the middle of what was read lose nothing and mix nothing up", async () => {
    const { client, server: accepted } = await bench().pair();
    await secure(bench(), client, ofClient, accepted, ofServer);
    accepted.whenData = () => {
      accepted.wire.pause();
      setTimeout(() => accepted.wire.resume(), 1);
    };
    // Records of their own, so that one read of the system's may bring several.
    const pieces = Array.from({ length: 200 }, (_, number) => Buffer.alloc(1000, number));
    for (const piece of pieces) client.wire.write(piece);
    client.wire.end();
    await bench().until(() => accepted.ended, "the end");
    expect(accepted.bytes.equals(Buffer.concat(pieces))).toBe(true);
    expect(accepted.log).toEqual(["secure", "data", "end"]);
  });

  test("an end behind several writes comes behind all of them", async () => {
    const { client, server: accepted } = await bench().pair();
    await secure(bench(), client, ofClient, accepted, ofServer);
    const pieces = Array.from({ length: 50 }, (_, number) => Buffer.alloc(20_000 * (number % 3) + 1, number));
    for (const piece of pieces) client.wire.write(piece, 0, piece.length);
    client.wire.write(Buffer.from("xlastx"), 1, 5);
    client.wire.end();
    await bench().until(() => accepted.ended, "the end");
    expect(accepted.bytes.equals(Buffer.concat([...pieces, Buffer.from("last")]))).toBe(true);
    accepted.wire.write(Buffer.from("still there"));
    await bench().until(() => client.sizeBytes === 11, "the other direction");
    expect(client.text).toBe("still there");
  });

  test("onDrain comes when what was held is gone", async () => {
    const { client, server: accepted } = await bench().pair();
    await secure(bench(), client, ofClient, accepted, ofServer);
    accepted.wire.pause();
    expect(client.wire.write(pattern(8 * MEGABYTE))).toBeGreaterThan(0);
    await bench().quiet();
    const before = client.drains;
    expect(before).toBe(0);
    accepted.wire.resume();
    await bench().until(() => client.drains === 1 && accepted.sizeBytes === 8 * MEGABYTE, "onDrain");
  });

  test("destroy closes soon, though the peer never answers", async () => {
    const { client, server: accepted } = await bench().pair();
    await secure(bench(), client, ofClient, accepted, ofServer);
    accepted.wire.pause();
    client.wire.destroy();
    expect(client.closed).toBe(false);
    await bench().until(() => client.closed, "the close");
    expect(client.error).toBeNull();
    expect(client.wire.fd).toBe(-1);
  });

  test("a callback that throws costs its own connection only", async () => {
    const { client, server: accepted } = await bench().pair();
    const thrown = new Error("a fault in a callback");
    accepted.whenSecure = () => {
      throw thrown;
    };
    accepted.wire.startTls("server", ofServer);
    client.wire.startTls("client", ofClient);
    await bench().until(() => accepted.closed, "the close");
    expect(accepted.error).toBe(thrown);
  });

  test("many connections share one settings object", async () => {
    const listener = await bench().listen();
    bench().whenAccepted = (recorder) => recorder.wire.startTls("server", ofServer);
    const clients = Array.from({ length: 20 }, () => {
      const recorder = new Recorder();
      recorder.whenOpen = () => recorder.wire.startTls("client", ofClient);
      recorder.whenSecure = () => void recorder.wire.write(Buffer.from("hi"));
      return bench().connect(bench().to(listener), recorder);
    });
    await bench().until(() => bench().accepted.filter(({ sizeBytes }) => sizeBytes === 2).length === 20, "all");
    expect(clients.every(({ peer }) => peer?.chainError === null)).toBe(true);
  });
}

function identity(certificate: Certificate): { cert: Uint8Array; key: Uint8Array } {
  return { cert: certificate.certPem, key: certificate.keyPem };
}

async function secure(
  bench: Bench,
  client: Recorder,
  ofClient: TlsSettings,
  accepted: Recorder,
  ofServer: TlsSettings,
): Promise<void> {
  accepted.wire.startTls("server", ofServer);
  client.wire.startTls("client", ofClient);
  await bench.until(
    () => (client.peer !== null && accepted.peer !== null) || client.closed || accepted.closed,
    "the handshake",
  );
  expect([client.error, accepted.error]).toEqual([null, null]);
}
