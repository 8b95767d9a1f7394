/**
 * What TLS towards clients is made of: versions, ciphers, curves, finite-field groups; settings that the library of the runtime
 * cannot follow are refused, and those of before stay in force.
 */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls, type ConnectionOptions, type EphemeralKeyInfo } from "node:tls";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Bouncer } from "../support/bouncer.ts";
import { createCertificate } from "../transport/certificate.ts";
import { reloadToItsEnd } from "./login-reload.ts";

const certificate = createCertificate({ commonName: "pooler", altNames: ["pooler.test"] });
const rsa = createCertificate({ commonName: "pooler", altNames: ["pooler.test"], isRsa: true });

let bouncer: Bouncer;
let folder: string;

function file(name: string, content: Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  chmodSync(path, 0o644);
  return path;
}

function settings(more: Record<string, string> = {}): Record<string, string> {
  return {
    client_tls_sslmode: "require",
    client_tls_cert_file: file("server.pem", certificate.certPem),
    client_tls_key_file: file("server.key", certificate.keyPem),
    ...more,
  };
}

const use = (more: Record<string, string> = {}): Promise<void> => reloadToItsEnd(bouncer, { settings: settings(more) });

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "pgc-tls-"));
  chmodSync(folder, 0o755);
  bouncer = await Bouncer.start({ databases: {}, settings: settings() });
});

afterAll(async () => {
  await bouncer?.stop();
  rmSync(folder, { recursive: true, force: true });
});

interface Shaken {
  readonly version: string;
  readonly cipher: string;
  /** Of the key exchange: a curve, or "DH". */
  readonly exchange: string;
}

/** A handshake with what is offered; null when it fails. */
function shake(offer: ConnectionOptions = {}): Promise<Shaken | null> {
  return new Promise((resolve) => {
    const socket = connectTls({
      host: "127.0.0.1",
      port: bouncer.port,
      rejectUnauthorized: false,
      ALPNProtocols: ["postgresql"],
      ...offer,
    });
    socket.once("secureConnect", () => {
      const info = socket.getEphemeralKeyInfo() as EphemeralKeyInfo | null;
      const exchange = info?.type === "DH" ? "DH" : (info?.name ?? "");
      resolve({ version: socket.getProtocol() ?? "", cipher: socket.getCipher().name, exchange });
      socket.destroy();
    });
    socket.once("error", () => resolve(null));
    socket.once("close", () => resolve(null));
  });
}

type Version = "TLSv1" | "TLSv1.1" | "TLSv1.2" | "TLSv1.3";
const versions: readonly Version[] = ["TLSv1.2", "TLSv1.3"];

/** Which versions can be had. Those below 1.2 need a client that still offers their weak signatures. */
async function versionsOffered(among: readonly Version[] = versions): Promise<string[]> {
  const had: string[] = [];
  for (const version of among) {
    const shaken = await shake({ minVersion: version, maxVersion: version, ciphers: "DEFAULT@SECLEVEL=0" });
    if (shaken !== null) had.push(shaken.version);
  }
  return had;
}

describe("client_tls_protocols", () => {
  test.each([
    ["secure", ["TLSv1.2", "TLSv1.3"]],
    ["default", ["TLSv1.2", "TLSv1.3"]],
    ["all", ["TLSv1.2", "TLSv1.3"]],
    ["tlsv1", ["TLSv1.2", "TLSv1.3"]],
    ["tlsv1.2", ["TLSv1.2"]],
    ["TLSv1.3", ["TLSv1.3"]],
    ["tlsv1.1:tlsv1.2", ["TLSv1.2"]],
    ["tlsv1.2, tlsv1.3", ["TLSv1.2", "TLSv1.3"]],
    ["secure:!tlsv1.3", ["TLSv1.2"]],
    ["!tlsv1.2", ["TLSv1.3"]],
    ["tlsv1.1,tlsv1.3", ["TLSv1.3"]],
    ["all:!tlsv1.2", ["TLSv1.3"]],
    ["all:!tlsv1.0:!tlsv1.1", ["TLSv1.2", "TLSv1.3"]],
  ])("%s", async (words, offered) => {
    await use({ client_tls_protocols: words });
    expect(await versionsOffered()).toEqual(offered);
  });

  test.each(["tlsv1.4", "!all", "tlsv1.2 tlsv1.3", "legacy"])("%s is refused, and what was stays", async (words) => {
    await use({ client_tls_protocols: "tlsv1.3" });
    const log = await bouncer.logDuring(async () => {
      await use({ client_tls_protocols: words });
      expect(await versionsOffered()).toEqual(["TLSv1.3"]);
    });
    expect(log).toContain(`ERROR TLS setup failed: invalid client_tls_protocols: ${words}\n`);
    expect(log).toContain("ERROR TLS configuration could not be reloaded, keeping old configuration\n");
  });
});

describe("client_tls_ciphers", () => {
  const older = (ciphers: string): Promise<Shaken | null> => shake({ maxVersion: "TLSv1.2", ciphers });

  test.each(["default", "secure", "normal", "fast", "DEFAULT"])("%s is the library's own choice", async (word) => {
    await use({ client_tls_ciphers: word });
    expect((await older("ECDHE-ECDSA-AES256-GCM-SHA384"))?.cipher).toBe("ECDHE-ECDSA-AES256-GCM-SHA384");
    expect((await older("ECDHE-ECDSA-AES128-GCM-SHA256"))?.cipher).toBe("ECDHE-ECDSA-AES128-GCM-SHA256");
  });

  test("other lists are the library's to read", async () => {
    await use({ client_tls_ciphers: "ALL:!aNULL:!AES128" });
    expect((await older("ECDHE-ECDSA-AES256-GCM-SHA384"))?.cipher).toBe("ECDHE-ECDSA-AES256-GCM-SHA384");
    expect(await older("ECDHE-ECDSA-AES128-GCM-SHA256")).toBeNull();
    await use({ client_tls_ciphers: "ECDHE-ECDSA-AES128-GCM-SHA256" });
    expect(await older("ECDHE-ECDSA-AES256-GCM-SHA384")).toBeNull();
    // TLS 1.3 has a setting of its own.
    expect((await shake())?.version).toBe("TLSv1.3");
  });

  test("a list without any cipher is refused, by RELOAD and by SET, and what was stays", async () => {
    await use({ client_tls_ciphers: "ECDHE-ECDSA-AES256-GCM-SHA384" });
    const log = await bouncer.logDuring(async () => {
      await use({ client_tls_ciphers: "nonsense" });
      expect(await older("ECDHE-ECDSA-AES128-GCM-SHA256")).toBeNull();
      expect(await older("ECDHE-ECDSA-AES256-GCM-SHA384")).not.toBeNull();
      await bouncer.admin("SET client_tls_ciphers = 'more nonsense'");
      expect(await older("ECDHE-ECDSA-AES256-GCM-SHA384")).not.toBeNull();
    });
    expect(log).toContain("ERROR TLS setup failed: invalid client_tls_ciphers: nonsense\n");
    expect(log).toContain("ERROR TLS setup failed: invalid client_tls_ciphers: more nonsense\n");
  });
});

describe("client_tls_ecdhcurve", () => {
  const ciphers = "TLS_AES_256_GCM_SHA384:ECDHE-RSA-AES256-GCM-SHA384";
  // A certificate on a curve of its own would have to be on that one.
  let withRsa: Record<string, string>;
  beforeAll(() => {
    withRsa = {
      client_tls_cert_file: file("rsa.pem", rsa.certPem),
      client_tls_key_file: file("rsa.key", rsa.keyPem),
    };
  });

  test.each([
    ["prime256v1", "prime256v1"],
    ["secp384r1", "secp384r1"],
    ["secp521r1", "secp521r1"],
  ])("%s and no other", async (word, curve) => {
    await use({ ...withRsa, client_tls_ecdhcurve: word });
    for (const maxVersion of versions) {
      expect((await shake({ maxVersion, ciphers, ecdhCurve: `X25519:${curve}` }))?.exchange).toBe(curve);
      expect(await shake({ maxVersion, ciphers, ecdhCurve: "X25519" })).toBeNull();
    }
  });

  test.each(["auto", "none", "AUTO"])("%s: the library's own choice", async (word) => {
    await use({ client_tls_ecdhcurve: word });
    for (const curve of ["X25519", "prime256v1"]) expect((await shake({ ecdhCurve: curve }))?.exchange).toBe(curve);
  });

  test("one that does not exist is refused", async () => {
    await use({ ...withRsa, client_tls_ecdhcurve: "secp384r1" });
    const log = await bouncer.logDuring(async () => {
      await use({ ...withRsa, client_tls_ecdhcurve: "secp999r1" });
      expect(await shake({ ecdhCurve: "X25519" })).toBeNull();
      expect((await shake({ ecdhCurve: "secp384r1" }))?.exchange).toBe("secp384r1");
    });
    expect(log).toContain("ERROR TLS setup failed: invalid client_tls_ecdhcurve: secp999r1\n");
  });
});

describe("client_tls_dheparams", () => {
  const cipher = "DHE-RSA-AES256-GCM-SHA384";
  const finiteField = (): Promise<Shaken | null> => shake({ maxVersion: "TLSv1.2", ciphers: cipher });
  const withRsa = (dheparams: string): Record<string, string> => ({
    client_tls_cert_file: file("rsa.pem", rsa.certPem),
    client_tls_key_file: file("rsa.key", rsa.keyPem),
    client_tls_dheparams: dheparams,
    client_tls_ciphers: `${cipher}:ECDHE-RSA-AES256-GCM-SHA384`,
  });

  test("auto: groups that fit the key, where the library has any", async () => {
    // Bun's has none, and leaves out the ciphers that need one.
    const ciphers = bouncer.runtime === "bun" ? { client_tls_ciphers: "ECDHE-RSA-AES256-GCM-SHA384" } : {};
    await use({ ...withRsa("auto"), ...ciphers });
    const shaken = await finiteField();
    if (bouncer.runtime === "bun") expect(shaken).toBeNull();
    else expect(shaken).toMatchObject({ cipher, exchange: "DH" });
    expect((await shake({ maxVersion: "TLSv1.2" }))?.cipher).toBe("ECDHE-RSA-AES256-GCM-SHA384");
  });

  test("none", async () => {
    await use({ ...withRsa("none"), client_tls_ciphers: "default" });
    expect(await finiteField()).toBeNull();
    expect(await shake({ maxVersion: "TLSv1.2" })).not.toBeNull();
  });

  test("anything else is refused", async () => {
    const log = await bouncer.logDuring(async () => {
      await use({ client_tls_dheparams: "legacy" });
      expect(await shake()).not.toBeNull();
    });
    expect(log).toContain("ERROR TLS setup failed: invalid client_tls_dheparams: legacy\n");
  });
});

test.each([
  [{ client_tls_dheparams: "legacy" }, "TLS setup failed: invalid client_tls_dheparams: legacy"],
  [{ client_tls_ecdhcurve: "nonsense" }, "TLS setup failed: invalid client_tls_ecdhcurve: nonsense"],
  [{ client_tls_ciphers: "nonsense" }, "TLS setup failed: invalid client_tls_ciphers: nonsense"],
  [{ server_tls_ciphers: "nonsense" }, "TLS setup failed: invalid server_tls_ciphers: nonsense"],
  [{ server_tls_protocols: "nonsense" }, "TLS setup failed: invalid server_tls_protocols: nonsense"],
])("does not start with %o", async (more, text) => {
  const { status, output } = await Bouncer.startAndFail({ settings: settings(more) });
  expect(status).toBe(1);
  expect(output).toContain(text);
});
