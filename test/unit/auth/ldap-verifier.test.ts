/** What is asked of a directory, in which order, and what the log says; the directory is a list. */
import { describe, expect, test } from "vitest";
import { parseLdapOptions } from "../../../src/auth/ldap-options.ts";
import { LdapVerifier } from "../../../src/auth/ldap-verifier.ts";
import { LdapStartTlsError } from "../../../src/net/ldap-connection.ts";
import type { LdapTarget } from "../../../src/net/ldap-connection.ts";
import { LdapError } from "../../../src/net/ldap-session.ts";
import type { LdapNetwork, LdapSearch } from "../../../src/net/ldap-session.ts";

const INVALID_CREDENTIALS = 49;

/** Passwords by name; entries are found by filter; hosts whose name begins with "down" cannot be reached. */
class Directory implements LdapNetwork {
  readonly passwords = new Map([["", ""]]);
  readonly found = new Map<string, readonly string[]>();
  readonly servers = new Map<string, { host: string; port: number }[]>();
  readonly calls: string[] = [];
  readonly targets: LdapTarget[] = [];
  startTlsFails = false;
  openSessions = 0;
  mostSessions = 0;

  async open(target: LdapTarget): ReturnType<LdapNetwork["open"]> {
    this.calls.push(`open ${target.host}:${target.port}`);
    this.targets.push(target);
    await Promise.resolve();
    if (this.startTlsFails) throw new LdapStartTlsError("no TLS here");
    if (target.host.startsWith("down")) throw new Error("connect ECONNREFUSED");
    this.openSessions += 1;
    this.mostSessions = Math.max(this.mostSessions, this.openSessions);
    return {
      bind: async (dn, password) => {
        this.calls.push(`bind ${dn}`);
        await Promise.resolve();
        if (this.passwords.get(dn) !== password) throw new LdapError(INVALID_CREDENTIALS, "Code: 0x31", null);
      },
      search: async ({ baseDn, scope, filter }: LdapSearch) => {
        this.calls.push(`search ${baseDn} ${scope} ${filter}`);
        await Promise.resolve();
        return this.found.get(filter) ?? [];
      },
      close: async () => {
        await Promise.resolve();
        this.openSessions -= 1;
      },
    };
  }

  async serversOf(domain: string): Promise<{ host: string; port: number }[]> {
    await Promise.resolve();
    return this.servers.get(domain) ?? [];
  }
}

function verifier(text: string, directory: Directory): LdapVerifier {
  const result = parseLdapOptions(text);
  if (!result.ok) throw new Error(result.reason);
  return new LdapVerifier(result.options, directory, () => Promise.resolve({ ca: [], isVerified: true }));
}

const simple = 'ldapserver=h ldapprefix="uid=" ldapsuffix=",dc=x"';
const search = "ldapserver=h ldapbasedn=dc=x";

describe("simple bind", () => {
  test("binds as prefix, name, suffix", async () => {
    const directory = new Directory();
    directory.passwords.set("uid=joe,dc=x", "secret1");
    expect(await verifier(simple, directory).verify("joe", "secret1")).toEqual({ ok: true, log: null });
    expect(directory.calls).toEqual(["open h:389", "bind uid=joe,dc=x"]);
    expect(await verifier(simple, directory).verify("joe", "secret2")).toEqual({
      ok: false,
      log: "LDAP login failed for user uid=joe,dc=x on server h: Invalid credentials",
    });
    expect(directory.openSessions).toBe(0);
  });

  test.each([
    ["joe,ou=admins", "uid=joe\\,ou\\=admins,dc=x"],
    ['a+b"c\\d<e>f;g', 'uid=a\\+b\\"c\\\\d\\<e\\>f\\;g,dc=x'],
    ["#a ", "uid=\\#a\\ ,dc=x"],
    [" ", "uid=\\ ,dc=x"],
    ["a\\ ", "uid=a\\\\\\ ,dc=x"],
    ["Иван", "uid=Иван,dc=x"],
  ])("the name %s cannot become another one", async (user, dn) => {
    const directory = new Directory();
    await verifier(simple, directory).verify(user, "p");
    expect(directory.calls[1]).toBe(`bind ${dn}`);
  });

  test("a name that is not part of a distinguished name is left as it is", async () => {
    const directory = new Directory();
    await verifier("ldapserver=h ldapprefix=DOMAIN\\ ", directory).verify("a+b", "p");
    await verifier("ldapserver=h ldapsuffix=@example.net", directory).verify("a+b", "p");
    expect(directory.calls.filter((call) => call.startsWith("bind"))).toEqual([
      "bind DOMAIN\\a+b",
      "bind a+b@example.net",
    ]);
  });
});

describe("search and bind", () => {
  test("searches as the one named, binds on another connection", async () => {
    const directory = new Directory();
    directory.passwords.set("cn=reader", "r").set("cn=Joe,dc=x", "secret1");
    directory.found.set("(|(uid=joe)(mail=joe))", ["cn=Joe,dc=x"]);
    const text = `${search} ldapbinddn=cn=reader ldapbindpasswd=r ldapsearchfilter="(|(uid=$username)(mail=$username))"`;
    expect(await verifier(text, directory).verify("joe", "secret1")).toEqual({ ok: true, log: null });
    expect(directory.calls).toEqual([
      "open h:389",
      "bind cn=reader",
      "search dc=x sub (|(uid=joe)(mail=joe))",
      "open h:389",
      "bind cn=Joe,dc=x",
    ]);
    expect(directory.openSessions).toBe(0);
  });

  test.each(["a*", "a(b", "a)b", "a\\b", "a/b"])("the name %s is refused before anything is asked", async (user) => {
    const directory = new Directory();
    const verdict = await verifier(search, directory).verify(user, "p");
    expect(verdict).toEqual({ ok: false, log: "invalid character in user name for LDAP authentication" });
    expect(directory.calls).toEqual([]);
  });

  test("a name with a replacement pattern is put in as it is", async () => {
    const directory = new Directory();
    await verifier(search, directory).verify("$&$username", "p");
    expect(directory.calls).toContain("search dc=x sub (uid=$&$username)");
  });

  test.each([
    [[], 'LDAP user "joe" does not exist'],
    [["cn=a", "cn=b"], 'LDAP user "joe" is not unique'],
    [[""], "could not get dn for the first entry matching"],
  ])("%j found: no bind", async (names, log) => {
    const directory = new Directory();
    // What a directory answers to a bind without a name.
    directory.passwords.set("", "");
    directory.found.set("(uid=joe)", names);
    const verdict = await verifier(search, directory).verify("joe", "secret1");
    expect(verdict.ok).toBe(false);
    expect(verdict.log).toContain(log);
    expect(directory.calls).toHaveLength(3);
    expect(directory.openSessions).toBe(0);
  });

  test("the one who searches is not let in", async () => {
    const directory = new Directory();
    const text = `${search} ldapbinddn=cn=reader ldapbindpasswd=hidden1`;
    expect(await verifier(text, directory).verify("joe", "hidden2")).toEqual({
      ok: false,
      log: 'could not perform initial LDAP bind for ldapbinddn "cn=reader" on server "h": Invalid credentials',
    });
  });
});

test.each([
  ["joe", ""],
  ["joe", "\0"],
  ["joe", "a\0b"],
  ["joe", "\udcff"],
  ["\udcff", "a"],
])("user %j with password %j never reaches a directory", async (user, password) => {
  const directory = new Directory();
  for (const text of [simple, search]) {
    expect((await verifier(text, directory).verify(user, password)).ok).toBe(false);
  }
  expect(directory.calls).toEqual([]);
});

describe("servers", () => {
  test("are tried in turn, as they are written", async () => {
    const directory = new Directory();
    directory.passwords.set("uid=joe,dc=x", "p");
    const text = 'ldapserver="down1 down2:3 [::1]:4 h" ldapprefix="uid=" ldapsuffix=",dc=x"';
    expect((await verifier(text, directory).verify("joe", "p")).ok).toBe(true);
    expect(directory.calls.slice(0, 3)).toEqual(["open down1:389", "open down2:3", "open ::1:4"]);
  });

  test("none can be reached", async () => {
    const text = 'ldapserver="down1 down2" ldapprefix="uid=" ldapsuffix=",dc=x"';
    expect(await verifier(text, new Directory()).verify("joe", "p")).toEqual({
      ok: false,
      log:
        "LDAP login failed for user uid=joe,dc=x on server down1 down2: Can't contact LDAP server " +
        "(down1: connect ECONNREFUSED; down2: connect ECONNREFUSED)",
    });
  });

  test("come from DNS when none is named", async () => {
    const directory = new Directory();
    directory.servers.set("example.net", [{ host: "found", port: 77 }]);
    await verifier('ldapbasedn="dc=other,ou=p,DC=example, dc=net"', directory).verify("joe", "p");
    expect(directory.calls[0]).toBe("open found:77");
    expect((await verifier('ldapbasedn="dc=a,dc=b"', directory).verify("joe", "p")).log).toBe(
      'LDAP authentication could not find DNS SRV records for "a.b"',
    );
    expect((await verifier("ldapbasedn=ou=p", directory).verify("joe", "p")).log).toBe(
      "could not extract domain name from ldapbasedn",
    );
  });
});

test("a crowd takes turns, and everybody has one", async () => {
  const directory = new Directory();
  directory.passwords.set("uid=joe,dc=x", "p");
  const judge = verifier(simple, directory);
  for (let round = 0; round < 2; round += 1) {
    const logins = Array.from({ length: 100 }, (_, i) => judge.verify("joe", i % 3 === 0 ? "p" : "wrong"));
    expect((await Promise.all(logins)).filter(({ ok }) => ok)).toHaveLength(34);
  }
  expect(directory.mostSessions).toBe(32);
  expect(directory.openSessions).toBe(0);
});

describe("encryption", () => {
  test("is what the options ask for", async () => {
    const directory = new Directory();
    for (const more of ["", "ldaptls=1", "ldapscheme=ldaps"])
      await verifier(`${simple} ${more}`, directory).verify("a", "p");
    expect(directory.targets.map(({ security, tls }) => [security, tls !== null])).toEqual([
      ["none", false],
      ["starttls", true],
      ["ldaps", true],
    ]);
  });

  test("StartTLS that fails is the end: no other server, no bind", async () => {
    const directory = new Directory();
    directory.startTlsFails = true;
    const text = 'ldapserver="a b" ldaptls=1 ldapprefix="uid=" ldapsuffix=",dc=x"';
    expect((await verifier(text, directory).verify("joe", "p")).log).toBe(
      "could not start LDAP TLS session: no TLS here, server: a b, port: 389",
    );
    expect(directory.calls).toEqual(["open a:389"]);
  });

  test("StartTLS inside TLS is refused", async () => {
    const directory = new Directory();
    const verdict = await verifier(`${simple} ldapscheme=ldaps ldaptls=1`, directory).verify("joe", "p");
    expect(verdict.log).toContain("could not start LDAP TLS session: ldaptls=1 and ldaps exclude each other");
    expect(directory.calls).toEqual([]);
  });

  test("certificates that cannot be read are named, and read again at the next login", async () => {
    const result = parseLdapOptions(`${simple} ldaptls=1`);
    if (!result.ok) throw new Error(result.reason);
    const directory = new Directory();
    directory.passwords.set("uid=joe,dc=x", "p");
    let problem: string | null = "TLS_CACERT: ENOENT";
    let loads = 0;
    const judge = new LdapVerifier(result.options, directory, () => {
      loads += 1;
      return problem === null ? Promise.resolve({ ca: [], isVerified: true }) : Promise.reject(new Error(problem));
    });
    expect((await judge.verify("joe", "p")).log).toBe("could not set up TLS for LDAP: TLS_CACERT: ENOENT");
    problem = null;
    expect((await judge.verify("joe", "p")).ok).toBe(true);
    expect((await judge.verify("joe", "p")).ok).toBe(true);
    expect(loads).toBe(2);
  });
});
