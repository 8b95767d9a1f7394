/** Which file and which variable decides about certificates of LDAP servers. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadLdapTls, readLdapConf } from "../../../src/auth/ldap-conf.ts";

let folder = "";
const path = (name: string): string => join(folder, name);
const pem = (name: string): string => `-----BEGIN CERTIFICATE-----\n${name}\n-----END CERTIFICATE-----`;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "pgcarpool-ldap-conf-"));
  await writeFile(
    path("machine"),
    "# comment\nURI ldap://x\nTLS_CACERT /machine  \ntls_reqcert  allow\nTLS_KEY /machine-key\n",
  );
  await writeFile(path("named"), "TLS_REQCERT never\n");
  await writeFile(path(".ldaprc"), "TLS_KEY /user-key\nTLS_CACERT\n");
  await writeFile(path("two.pem"), `${pem("a")}\ntext\n${pem("b")}\n`);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe("who has the last word", () => {
  const read = async (env: Record<string, string>): Promise<object> =>
    Object.fromEntries(await readLdapConf(env, [path("missing"), path("machine")]));

  test("the machine's file, but never about a key", async () => {
    expect(await read({})).toEqual({ TLS_CACERT: "/machine", TLS_REQCERT: "allow" });
  });

  test("the user's file over it", async () => {
    expect(await read({ HOME: folder })).toMatchObject({ TLS_CACERT: "/machine", TLS_KEY: "/user-key" });
  });

  test("LDAPCONF over both, single variables over all", async () => {
    expect(await read({ LDAPCONF: path("named") })).toEqual({ TLS_CACERT: "/machine", TLS_REQCERT: "never" });
    expect(await read({ LDAPCONF: path("named"), LDAPTLS_REQCERT: "hard", LDAPTLS_CACERT: "/own" })).toEqual({
      TLS_CACERT: "/own",
      TLS_REQCERT: "hard",
    });
  });

  test("LDAPNOINIT: nobody", async () => {
    expect(await read({ LDAPNOINIT: "", LDAPTLS_REQCERT: "never" })).toEqual({});
  });
});

describe("what follows", () => {
  test.each([
    ["never", false],
    ["allow", false],
    ["try", true],
    ["demand", true],
    ["HARD", true],
    ["nonsense", true],
  ])("TLS_REQCERT %s", async (word, isVerified) => {
    const tls = await loadLdapTls(
      new Map([
        ["TLS_REQCERT", word],
        ["TLS_CACERT", path("two.pem")],
      ]),
    );
    expect(tls).toEqual({ isVerified, ca: isVerified ? [pem("a"), pem("b")] : [] });
  });

  test("a folder of authorities", async () => {
    expect((await loadLdapTls(new Map([["TLS_CACERTDIR", folder]]))).ca).toEqual([pem("a"), pem("b")]);
  });

  test("the default is to verify, with the system's authorities", async () => {
    const { isVerified, ca } = await loadLdapTls(new Map());
    expect(isVerified).toBe(true);
    expect(ca === null || ca.length > 0).toBe(true);
  });

  test("a file that cannot be read is named", async () => {
    await expect(loadLdapTls(new Map([["TLS_CACERT", path("missing")]]))).rejects.toThrow(/^TLS_CACERT: .*missing/);
    await expect(loadLdapTls(new Map([["TLS_CACERTDIR", path("missing")]]))).rejects.toThrow(/^TLS_CACERTDIR: /);
  });
});
