/** The syntax of `auth_ldap_options` and of an HBA line's rest; URLs as libldap 2.5 reads them. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseLdapOptions } from "../../../src/auth/ldap-options.ts";
import type { LdapOptions } from "../../../src/auth/ldap-options.ts";
import { parseLdapUrl } from "../../../src/auth/ldap-url.ts";

function optionsOf(text: string): LdapOptions {
  const result = parseLdapOptions(text);
  if (!result.ok) throw new Error(result.reason);
  return result.options;
}

function reasonOf(text: string): string {
  const result = parseLdapOptions(text);
  return result.ok ? "" : result.reason;
}

describe("options", () => {
  test("simple bind", () => {
    expect(
      optionsOf('ldapserver=127.0.0.1 ldapport=3890 ldapprefix="uid=" ldapsuffix=",dc=example,dc=net" ldaptls=1'),
    ).toEqual({
      servers: ["127.0.0.1"],
      serverText: "127.0.0.1",
      port: 3890,
      scheme: "ldap",
      startTls: true,
      mode: { kind: "simple", prefix: "uid=", suffix: ",dc=example,dc=net" },
    });
  });

  test("search and bind, with what is left out", () => {
    const { servers, port, startTls, mode } = optionsOf('ldapserver="one  two" ldapbasedn="dc=example,dc=net"\n');
    expect({ servers, port, startTls }).toEqual({ servers: ["one", "two"], port: 389, startTls: false });
    expect(mode).toMatchObject({ kind: "search", baseDn: "dc=example,dc=net", scope: "sub", bindDn: "" });
    expect(mode).toMatchObject({ filter: "(uid=$username)" });
  });

  test("who searches, and a filter; quoted keys, commas, quotes inside", () => {
    const { port, scheme, mode } = optionsOf(
      'ldapserver=h "ldapscheme"=ldaps ,ldapbasedn="dc=x" , ldapbinddn=cn=a ldapbindpasswd="a ""b"" c",ldapsearchfilter="uid=$username"',
    );
    expect({ port, scheme }).toEqual({ port: 636, scheme: "ldaps" });
    expect(mode).toMatchObject({ bindDn: "cn=a", filter: "uid=$username" });
    expect(mode.kind === "search" && mode.bindPassword.reveal()).toBe('a "b" c');
  });

  test("a URL counts as several options, and a later option wins over it", () => {
    const options = optionsOf('ldapurl="ldaps://h:99/dc=x??one?(mail=$username)" ldapport=100');
    expect(options).toMatchObject({ servers: ["h"], port: 100, scheme: "ldaps" });
    expect(options.mode).toMatchObject({ baseDn: "dc=x", scope: "one", filter: "(mail=$username)" });
    expect(optionsOf('ldapurl="ldap://h/dc=x?mail"').mode).toMatchObject({ scope: "base", filter: "(mail=$username)" });
  });

  test.each([
    ["", 'authentication method "ldap" requires argument "ldapbasedn", "ldapprefix", or "ldapsuffix" to be set'],
    ["ldapprefix=a ldapbasedn=b", "cannot mix options for simple bind and search+bind modes"],
    ["ldapsuffix=a ldapsearchfilter=b", "cannot mix options for simple bind and search+bind modes"],
    ["ldapbasedn=a ldapsearchattribute=b ldapsearchfilter=c", "cannot use ldapsearchattribute together"],
    ["ldapprefix=a", "LDAP server not specified, and no ldapbasedn"],
    ["ldapbasedn=a ldapport=x", 'invalid LDAP port number: "x"'],
    ["ldapbasedn=a ldapport=65536", 'invalid LDAP port number: "65536"'],
    ["ldapbasedn=a ldapscheme=ldapi", 'invalid ldapscheme value: "ldapi"'],
    ["ldapbasedn=a ldapfoo=b", 'invalid LDAP option: "ldapfoo"'],
    ["ldapbasedn=a ldaptls= 1", 'LDAP options are not key=value after "ldapbasedn"'],
    ["ldapbasedn=a ldaptls", 'LDAP options are not key=value after "ldapbasedn"'],
    ['ldapbasedn="a', "LDAP options are not key=value at their beginning"],
    ['ldapurl="ldapi://x/dc=a"', "unsupported LDAP URL scheme: ldapi"],
  ])("%s is refused", (text, reason) => {
    expect(reasonOf(text)).toContain(reason);
  });

  test.each(["ldapbindpasswd=a secret ldaptls=1", "ldapbindpasswd=a ldapsecret=1", 'ldapbindpasswd="a"secret=1'])(
    "no piece of a password is in the reason: %s",
    (text) => {
      expect(reasonOf(`ldapbasedn=dc=x ${text}`)).toContain('after "ldapbindpasswd"');
      expect(reasonOf(`ldapbasedn=dc=x ${text}`)).not.toContain("secret");
    },
  );

  test("a comment ends the list; an empty value means: not set", () => {
    expect(optionsOf("ldapserver=h ldapbasedn=dc=x # ldaptls=1").startTls).toBe(false);
    expect(optionsOf('ldapserver=h ldapprefix="" ldapbasedn=dc=x ldaptls=1').startTls).toBe(true);
  });

  test("what is printed is read back", () => {
    const value = fc.string({ minLength: 1, unit: fc.constantFrom("a", '"', " ", ",", "=", "#", "é", "\\") });
    fc.assert(
      fc.property(value, value, value, fc.constantFrom(" ", ",", " , "), (dn, password, filter, separator) => {
        const quote = (text: string): string => `"${text.replaceAll('"', '""')}"`;
        const pairs = { ldapserver: "h", ldapbasedn: dn, ldapbindpasswd: password, '"ldapsearchfilter"': filter };
        const text = Object.entries(pairs).map(([key, text_]) => `${key}=${quote(text_)}`);
        const { mode } = optionsOf(text.join(separator));
        expect(mode).toMatchObject({ kind: "search", baseDn: dn, filter });
        expect(mode.kind === "search" && mode.bindPassword.reveal()).toBe(password);
      }),
    );
  });

  test("nothing makes it throw", () => {
    const piece = fc.constantFrom(
      "ldapurl=",
      "ldap://",
      "ldapbasedn=",
      '"',
      '""',
      "=",
      ",",
      " ",
      "%",
      "x",
      "?",
      "[",
      "]",
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        expect(typeof parseLdapOptions(pieces.join("")).ok).toBe("boolean");
      }),
    );
  });

  test("the password is not seen when options are printed", () => {
    const options = optionsOf("ldapserver=h ldapbasedn=dc=x ldapbindpasswd=hidden1");
    expect(JSON.stringify(options)).not.toContain("hidden1");
  });
});

describe("URLs", () => {
  test.each([
    ["ldap://h", "ldap", "h", 389, null, null, "base", null],
    ["ldap://", "ldap", null, 389, null, null, "base", null],
    ["ldap:///", "ldap", null, 389, "", null, "base", null],
    ["ldaps://h/", "ldaps", "h", 636, "", null, "base", null],
    ["LDAP://h/dc=x??one", "ldap", "h", 389, "dc=x", null, "one", null],
    ["ldap://127.0.0.1:123/dc=a,dc=b?uid?sub", "ldap", "127.0.0.1", 123, "dc=a,dc=b", "uid", "sub", null],
    ["ldap://h/dc=x?a,b?SUB?(x=%20y)", "ldap", "h", 389, "dc=x", "a", "sub", "(x= y)"],
    ["ldap://h/dc=x??subtree?uid=$username", "ldap", "h", 389, "dc=x", null, "sub", "uid=$username"],
    ["ldap://h/dc=a%2cb??onelevel?", "ldap", "h", 389, "dc=a,b", null, "one", null],
    ["ldap://[::1]:99/dc=x??children", "ldap", "::1", 99, "dc=x", null, "children", null],
    ["ldap://h1%20h2?uid", "ldap", "h1 h2", 389, null, "uid", "base", null],
    ["ldap://h/dc=x??sub?(a=b)?ext", "ldap", "h", 389, "dc=x", null, "sub", "(a=b)"],
  ])("%s", (text, scheme, host, port, dn, attribute, scope, filter) => {
    expect(parseLdapUrl(text)).toEqual({ ok: true, url: { scheme, host, port, dn, attribute, scope, filter } });
  });

  test.each([
    "http://h",
    "ldapi://h",
    "h/dc=x",
    "ldap:/h",
    "ldap://h/dc=x??foo",
    "ldap://h:/dc=x",
    "ldap://h:12x/dc=x",
    "ldap://h:0/dc=x",
    "ldap://h/dc=%zz",
    "ldap://h/dc=x?a?sub?f?!e",
    "ldap://h/dc=x?a?sub?f?e?g",
  ])("%s is refused", (text) => {
    expect(parseLdapUrl(text).ok).toBe(false);
  });
});
