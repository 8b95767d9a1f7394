/** TLS settings as they are made of the configuration: words, files, whose authorities count, what a reload changes. */
import { describe, expect, test } from "vitest";
import { loadConfiguration } from "../../../src/config/load.ts";
import type { Settings } from "../../../src/config/settings.ts";
import { setSetting } from "../../../src/config/settings.ts";
import { ConfiguredTls } from "../../../src/pooler/tls-contexts.ts";
import { parseTlsProtocols } from "../../../src/pooler/tls-protocols.ts";
import { createCertificate } from "../../transport/certificate.ts";

const authority = createCertificate({ commonName: "authority", isAuthority: true });
const systemAuthority = createCertificate({ commonName: "system", isAuthority: true });
const own = createCertificate({ commonName: "own", issuer: authority });
const systemPlace = "/etc/pki/tls/certs/ca-bundle.crt";

describe("words for protocols", () => {
  test.each([
    ["secure", "TLSv1.2", "TLSv1.3"],
    ["all", "TLSv1", "TLSv1.3"],
    ["tlsv1", "TLSv1", "TLSv1.3"],
    ["tlsv1.0", "TLSv1", "TLSv1"],
    [" TLSv1.1 : tlsv1.2", "TLSv1.1", "TLSv1.2"],
    ["!tlsv1.0,!tlsv1.1", "TLSv1.2", "TLSv1.3"],
    ["tlsv1.2,!tlsv1.2,!tlsv1.3", "TLSv1", "TLSv1.2"],
    ["tlsv1.0,tlsv1.3", "TLSv1.3", "TLSv1.3"],
    ["all,!tlsv1.1", "TLSv1.2", "TLSv1.3"],
  ])("%s", (words, minVersion, maxVersion) => {
    expect(parseTlsProtocols(words)).toEqual({ minVersion, maxVersion });
  });

  test.each(["", "tls", "tlsv1.2,", "!all", "tlsv1.2 tlsv1.3", "secure,nonsense"])("not %o", (words) => {
    expect(parseTlsProtocols(words)).toBeNull();
  });
});

interface Stage {
  readonly tls: ConfiguredTls;
  readonly files: Map<string, Uint8Array>;
  readonly reads: string[];
  readonly set: (name: string, value: string) => void;
}

function stage(settings: Record<string, string>, runtime = "node"): Stage {
  const files = new Map<string, Uint8Array>([
    ["ca.pem", authority.certPem],
    ["own.pem", own.certPem],
    ["own.key", own.keyPem],
    [systemPlace, systemAuthority.certPem],
  ]);
  const reads: string[] = [];
  const read = (path: string): Uint8Array => {
    reads.push(path);
    const content = files.get(path);
    if (content === undefined) throw Object.assign(new Error("no such file"), { code: "ENOENT" });
    return Buffer.from(content);
  };
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}\n`);
  const loaded = loadConfiguration("a.ini", () => `[pgbouncer]\n${lines.join("")}`);
  if (!loaded.ok) throw new Error(loaded.errors.map(({ message }) => message).join("\n"));
  const made: Settings = loaded.configuration.settings;
  const set = (name: string, value: string): void => expect(setSetting(made, name, value).ok).toBe(true);
  return { tls: new ConfiguredTls(made, read, runtime), files, reads, set };
}

const clientFiles = { client_tls_cert_file: "own.pem", client_tls_key_file: "own.key" };

describe("authorities", () => {
  test.each(["verify-ca", "verify-full"])("towards servers, %s without a file: the system's", (mode) => {
    const { tls, files } = stage({ server_tls_sslmode: mode });
    expect(tls.reload()).toEqual({ problem: null, serversChanged: true });
    expect(Buffer.from(tls.server("db.example").ca!)).toEqual(Buffer.from(systemAuthority.certPem));
    files.delete(systemPlace);
    expect(() => tls.server("db.example")).toThrow(/failed to load CA/);
  });

  test("below it nobody is judged, and none are read", () => {
    const { tls, reads } = stage({ server_tls_sslmode: "require" });
    tls.reload();
    expect(tls.server("db.example")).not.toHaveProperty("ca");
    expect(reads).toEqual([]);
  });

  test("the file's before the system's", () => {
    const { tls } = stage({ server_tls_sslmode: "verify-full", server_tls_ca_file: "ca.pem" });
    tls.reload();
    expect(Buffer.from(tls.server("db.example").ca!)).toEqual(Buffer.from(authority.certPem));
  });

  test("of clients: asked for a certificate where it can be judged", () => {
    const asks = (more: Record<string, string>): unknown => {
      const { tls } = stage({ ...clientFiles, ...more });
      expect(tls.reload().problem).toBeNull();
      const { requestCertificate, ca } = tls.client()!;
      return [requestCertificate, ca === undefined ? null : Buffer.from(ca).equals(Buffer.from(authority.certPem))];
    };
    expect(asks({ client_tls_sslmode: "require" })).toEqual([false, null]);
    expect(asks({ client_tls_sslmode: "require", client_tls_ca_file: "ca.pem" })).toEqual([true, true]);
    expect(asks({ client_tls_sslmode: "verify-ca" })).toEqual([true, false]);
    expect(asks({ client_tls_sslmode: "verify-full", client_tls_ca_file: "ca.pem" })).toEqual([true, true]);
  });
});

describe("towards servers", () => {
  test("one object for a host as long as nothing has changed", () => {
    const { tls, files } = stage({ server_tls_sslmode: "verify-full", server_tls_ca_file: "ca.pem" });
    tls.reload();
    const first = tls.server("db.example");
    expect(tls.server("db.example")).toBe(first);
    expect(tls.server("other.example")).not.toBe(first);
    expect(first.serverName).toBe("db.example");
    expect(tls.server("10.0.0.1")).not.toHaveProperty("serverName");
    expect(tls.reload()).toEqual({ problem: null, serversChanged: false });
    expect(tls.server("db.example")).toBe(first);
    files.set("ca.pem", systemAuthority.certPem);
    const second = tls.server("db.example");
    expect(second).not.toBe(first);
    expect(Buffer.from(second.ca!)).toEqual(Buffer.from(systemAuthority.certPem));
    expect(tls.reload().serversChanged).toBe(false);
  });

  test.each([
    ["server_tls_sslmode", "verify-ca"],
    ["server_tls_protocols", "tlsv1.3"],
    ["server_tls_ciphers", "HIGH"],
    ["server_tls_ca_file", "own.pem"],
    ["server_tls_cert_file", "own.pem"],
    ["server_tls_key_file", "own.key"],
  ])("%s renews servers, and its way back does", (name, value) => {
    const { tls, set } = stage({ server_tls_sslmode: "verify-full", server_tls_ca_file: "ca.pem" });
    tls.reload();
    set(name, value);
    expect(tls.reload()).toEqual({ problem: null, serversChanged: true });
    expect(tls.reload()).toEqual({ problem: null, serversChanged: false });
  });

  test("a problem on one side keeps both as they were", () => {
    const { tls, set } = stage({ ...clientFiles, client_tls_sslmode: "allow", server_tls_sslmode: "require" });
    tls.reload();
    const client = tls.client();
    set("server_tls_sslmode", "disable");
    set("client_tls_sslmode", "require");
    set("client_tls_key_file", "nowhere.key");
    expect(tls.reload()).toEqual({
      problem: 'cannot load TLS file "nowhere.key": No such file or directory',
      serversChanged: false,
    });
    expect([tls.client(), tls.clientMode, tls.serverMode]).toEqual([client, "allow", "require"]);
  });

  test("a missing file is said at the connect", () => {
    const { tls } = stage({ server_tls_sslmode: "require", server_tls_cert_file: "nowhere.pem" });
    expect(tls.reload().problem).toBeNull();
    expect(() => tls.server("")).toThrow('cannot load TLS file "nowhere.pem": No such file or directory');
  });
});

test("what Bun's library has no words for", () => {
  const tls13 = stage(
    { ...clientFiles, client_tls_sslmode: "require", client_tls13_ciphers: "TLS_AES_128_GCM_SHA256" },
    "bun",
  );
  expect(tls13.tls.reload().problem).toMatch(/client_tls13_ciphers cannot be set on this runtime/);
  const node = stage({ ...clientFiles, client_tls_sslmode: "require" });
  const bun = stage({ ...clientFiles, client_tls_sslmode: "require" }, "bun");
  for (const { tls } of [node, bun]) expect(tls.reload().problem).toBeNull();
  expect([node.tls.client()!.finiteField, bun.tls.client()!.finiteField]).toEqual([true, undefined]);
});
