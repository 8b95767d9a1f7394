/** LDAP against OpenLDAP's slapd. PgBouncer's own suite has the same groups; its lines are found here by their numbers. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadLdapTls, readLdapConf } from "../../src/auth/ldap-conf.ts";
import { parseLdapOptions } from "../../src/auth/ldap-options.ts";
import { LdapVerifier } from "../../src/auth/ldap-verifier.ts";
import type { PasswordVerdict } from "../../src/auth/password-verifier.ts";
import { ldapNetwork } from "../../src/net/ldap-session.ts";
import { LONG_UNIT, Slapd } from "./slapd.ts";

let slapd: Slapd;

beforeAll(async () => {
  slapd = await Slapd.start();
});
afterAll(() => slapd.stop());

interface Login {
  user?: string;
  password?: string;
  env?: Record<string, string>;
}

/** `PORT`, `TLS_PORT` in `text` are slapd's. Certificates are judged with slapd's authority unless `env` says otherwise. */
async function login(
  text: string,
  { user = "ldapuser1", password = "secret1", env }: Login = {},
): Promise<PasswordVerdict> {
  const options = text.replaceAll("TLS_PORT", `${slapd.tlsPort}`).replaceAll("PORT", `${slapd.port}`);
  const result = parseLdapOptions(options);
  if (!result.ok) throw new Error(result.reason);
  const rules = env ?? { LDAPTLS_CACERT: slapd.authority };
  const verifier = new LdapVerifier(result.options, ldapNetwork, async () =>
    loadLdapTls(await readLdapConf(rules, [])),
  );
  const verdict = await verifier.verify(user, password);
  expect(verdict.log ?? "").not.toContain(password === "" ? "\0" : password);
  return verdict;
}

const ok = { ok: true, log: null };
const simple = 'ldapserver=127.0.0.1 ldapport=PORT ldapprefix="uid=" ldapsuffix=",dc=example,dc=net"';
const search = 'ldapserver=127.0.0.1 ldapport=PORT ldapbasedn="dc=example,dc=net"';
const never = { LDAPTLS_REQCERT: "never" };

describe("in clear", () => {
  test.each([
    ["1 simple bind", simple],
    ["2 search and bind", search],
    ["3 several servers", search.replace("127.0.0.1", '"127.0.0.9 localhost"')],
    ["4 URL", 'ldapurl="ldap://127.0.0.1:PORT/dc=example,dc=net?uid?sub"'],
    ["5 search attribute", `${search} ldapsearchattribute=uid`],
    ["6 search filter", `${search} ldapsearchfilter="uid=$username"`],
    ["7 filter in a URL", 'ldapurl="ldap://127.0.0.1:PORT/dc=example,dc=net??sub?(|(uid=$username)(mail=$username))"'],
    ["9 commas and quoted keys", search.replace("ldapport", '"ldapport"').concat(' ,ldapsearchfilter="uid=$username"')],
    ["a filter with blanks", `${search} ldapsearchfilter="(& (objectClass=*) (! (uid=x)) (uid=$username) )"`],
    ["with a reader", `${search} ldapbinddn="cn=reader,dc=example,dc=net" ldapbindpasswd="reader secret"`],
    ["one level", 'ldapurl="ldap://127.0.0.1:PORT/dc=example,dc=net?uid?one"'],
  ])("%s", async (_name, text) => {
    expect(await login(text)).toEqual(ok);
    expect(await login(text, { password: "secret2" })).toEqual({
      ok: false,
      log: expect.stringMatching(
        /^LDAP login failed for user uid=ldapuser1,dc=example,dc=net on server .*: Invalid credentials$/,
      ) as string,
    });
    expect((await login(text, { user: "nobody" })).ok).toBe(false);
  });

  test("11 a long name and a password in Cyrillic", async () => {
    const them = { user: "ldapuser2", password: "пароль2" };
    expect(await login(search, them)).toEqual(ok);
    const text = `ldapserver=127.0.0.1 ldapport=PORT ldapprefix="uid=" ldapsuffix=",o=${LONG_UNIT},dc=example,dc=net"`;
    expect(await login(text, them)).toEqual(ok);
  });

  test("a name with a comma is that name", async () => {
    const text = simple.replace("uid=", "cn=");
    expect(await login(text, { user: "Smith, John", password: "secret3" })).toEqual(ok);
    // By its second half it would be another entry, with its own password.
    const other = 'ldapserver=127.0.0.1 ldapport=PORT ldapprefix="cn=x+uid=" ldapsuffix=",dc=example,dc=net"';
    expect((await login(other, { user: "ldapuser1,dc=example,dc=net" })).ok).toBe(false);
  });

  test("an empty password is refused here, which slapd would have taken", async () => {
    const session = await ldapNetwork.open({ host: "127.0.0.1", port: slapd.port, security: "none", tls: null });
    await session.bind("uid=ldapuser1,dc=example,dc=net", "");
    await session.bind("", "whatever");
    await session.close();
    for (const text of [simple, search]) expect((await login(text, { password: "" })).ok).toBe(false);
    // The root of all: no name, so no proof.
    const root = 'ldapserver=127.0.0.1 ldapport=PORT ldapurl="ldap://127.0.0.1:PORT/??base?(objectClass=*)"';
    expect((await login(root)).log).toContain("could not get dn");
  });

  test.each([
    [`${search} ldapbinddn="cn=reader,dc=example,dc=net" ldapbindpasswd=other`, "could not perform initial LDAP bind"],
    [`${search} ldapsearchfilter="(objectClass=*)"`, 'LDAP user "ldapuser1" is not unique'],
    [`${search} ldapsearchfilter="(uid=x)"`, 'LDAP user "ldapuser1" does not exist'],
    [`${search} ldapsearchfilter="((("`, "Bad search filter"],
    [search.replace("example", "elsewhere"), "No such object"],
    [search.replace("127.0.0.1", "127.0.0.9"), "Can't contact LDAP server"],
  ])("%s", async (text, log) => {
    const verdict = await login(text);
    expect(verdict.ok).toBe(false);
    expect(verdict.log).toContain(log);
  });

  test("many at once", async () => {
    const verdicts = await Promise.all(
      Array.from({ length: 40 }, (_, i) => login(search, { password: i % 2 === 0 ? "secret1" : "wrong" })),
    );
    expect(verdicts.map((verdict) => verdict.ok)).toEqual(verdicts.map((_, i) => i % 2 === 0));
  });
});

describe("encrypted", () => {
  const byName = simple.replace("127.0.0.1", "localhost");

  test.each([
    [
      "8.1 ldaps, filter",
      'ldapurl="ldaps://localhost:TLS_PORT/dc=example,dc=net??sub?(|(uid=$username)(mail=$username))"',
    ],
    ["8.2 StartTLS, simple bind", `${byName} ldaptls=1`],
    ["8.3 StartTLS, search", `${search.replace("127.0.0.1", "localhost")} ldaptls=1`],
    ["8.4 ldaps URL", 'ldapurl="ldaps://localhost:TLS_PORT/dc=example,dc=net?uid?sub"'],
    ["ldaps, by scheme", `${byName.replace("PORT", "TLS_PORT")} ldapscheme=ldaps`],
  ])("%s", async (_name, text) => {
    expect(await login(text)).toEqual(ok);
    expect((await login(text, { password: "secret2" })).log).toContain("Invalid credentials");
    // The certificate is of another authority, or for another name …
    expect((await login(text, { env: { LDAPTLS_CACERT: slapd.stranger } })).ok).toBe(false);
    expect((await login(text, { env: {} })).ok).toBe(false);
    const byAddress = text.replace("localhost", "127.0.0.1");
    expect((await login(byAddress)).log).toContain('the certificate is not for host "127.0.0.1"');
    // … which does not matter where nobody asks.
    expect(await login(byAddress, { env: never })).toEqual(ok);
  });

  test.each([
    ["8.6 ldaps at the port for clear", 'ldapurl="ldaps://localhost:PORT/dc=example,dc=net?uid?sub"', "Can't contact"],
    [
      "8.7 StartTLS at the port for ldaps",
      `${byName.replace("PORT", "TLS_PORT")} ldaptls=1`,
      "could not start LDAP TLS",
    ],
    [
      "8.8 both",
      'ldapurl="ldaps://localhost:TLS_PORT/dc=example,dc=net?uid?sub" ldaptls=1',
      "could not start LDAP TLS",
    ],
    [
      "8.9 both, port for clear",
      'ldapurl="ldaps://localhost:PORT/dc=example,dc=net?uid?sub" ldaptls=1',
      "could not start",
    ],
  ])("%s", async (_name, text, log) => {
    const verdict = await login(text, { env: never });
    expect(verdict.ok).toBe(false);
    expect(verdict.log).toContain(log);
  });
});

test("a server that is gone", async () => {
  const gone = await Slapd.start();
  await gone.stop();
  const text = simple.replace("PORT", `${gone.port}`);
  expect((await login(text)).log).toMatch(/Can't contact LDAP server \(127\.0\.0\.1: .*ECONNREFUSED/);
});
