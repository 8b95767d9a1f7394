import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseHba } from "../../../src/auth/hba-file.ts";
import type { HbaFile } from "../../../src/auth/hba-file.ts";
import type { HbaRule } from "../../../src/auth/hba-rules.ts";
import { parseIdentMaps } from "../../../src/auth/ident-map.ts";

const identMaps = parseIdentMaps("crew bob app").maps;

function parse(text: string, files: Record<string, string | Uint8Array> = {}): HbaFile {
  const readFile = (path: string): Uint8Array => {
    const content = files[path];
    if (content === undefined) throw new Error(`ENOENT: ${path}`);
    return Buffer.from(content);
  };
  return parseHba(text, { fileName: "/etc/pool/hba.conf", readFile, identMaps });
}

/** The rule for a client on the Unix socket. */
function localRule(file: HbaFile, database: string, user: string): HbaRule | null {
  return file.rules.evaluate({
    isUnixSocket: true,
    address: "",
    tls: false,
    database,
    user,
    replication: "no",
  });
}

describe("the method of a rule", () => {
  it.each(["trust", "reject", "md5", "password", "peer", "cert", "scram-sha-256", "ldap"])("%s", (method) => {
    const file = parse(`local all all ${method}`);
    expect(file.problems).toEqual([]);
    expect(localRule(file, "d", "u")).toMatchObject({ method, map: null, options: "", line: 1 });
  });

  it.each(["trust", "md5", "peer", "cert"])("%s may have a map", (method) => {
    const rule = localRule(parse(`local all all ${method} map=crew # comment`), "d", "u");
    expect(rule?.map).toBe(identMaps.get("crew"));
  });

  it("ldap has the rest of the line, whatever it is", () => {
    const text = `local all all ldap ldapserver="a b" , ldapprefix="cn= # map=none "open\r`;
    const file = parse(text);
    expect(file.problems).toEqual([]);
    expect(localRule(file, "d", "u")).toMatchObject({
      method: "ldap",
      map: null,
      options: `ldapserver="a b" , ldapprefix="cn= # map=none "open`,
    });
  });
});

describe("a bad line", () => {
  it.each([
    ["peer all all trust", ["hba line 2: unknown type"]],
    ['"local" all all trust', ["hba line 2: unknown type"]],
    ["LOCAL all all trust", ["hba line 2: unknown type"]],
    ["hostgssenc all all all trust", ["hba line 2: unknown type"]],
    [", local", ["hba line 2: unknown type"]],
    ["local", []],
    ["local all", []],
    ["local all, trust", []],
    ["local all,, all trust", []],
    ['local all "u trust', []],
    ["local samerole all trust", ["samerole is not supported"]],
    ["local samegroup all trust", ["samegroup is not supported"]],
    ["local all samerole trust", ["samerole is not supported"]],
    ["local all +staff trust", ["+staff: groups of users are not supported"]],
    ["local all all", ["hba line 2: unsupported method: buf=all"]],
    ["local all all any", ["hba line 2: unsupported method: buf=any"]],
    ["local all all pam", ["hba line 2: unsupported method: buf=pam"]],
    ["local all all ident", ["hba line 2: unsupported method: buf=ident"]],
    ["local all all plain", ["hba line 2: unsupported method: buf=plain"]],
    ["local all all hba", ["hba line 2: unsupported method: buf=hba"]],
    ["local all all MD5", ["hba line 2: unsupported method: buf=MD5"]],
    ['local all all "trust"', ["hba line 2: unsupported method: buf=trust"]],
    ["local all all 127.0.0.1/32 trust", ["hba line 2: unsupported method: buf=127.0.0.1/32"]],
    ["host all all trust", ["hba line 2: failed to parse address - trust"]],
    ["host all all", ["hba line 2: did not find address - 4 - 'all'"]],
    ['host all u "127.0.0.1/32" trust', ["hba line 2: did not find address - 0 - '127.0.0.1/32'"]],
    ['host all u "x', ["hba line 2: did not find address - 3 - 'u'"]],
    ["host all all localhost trust", ["hba line 2: failed to parse address - localhost"]],
    ["host all all samehost trust", ["hba line 2: failed to parse address - samehost"]],
    ["host all all samenet trust", ["hba line 2: failed to parse address - samenet"]],
    ["host all all .example.com trust", ["hba line 2: failed to parse address - .example.com"]],
    ["host all all 10.0.0/8 trust", ["hba line 2: failed to parse address - 10.0.0"]],
    ["host all all 10.0.0.0/33 trust", ["hba line 2: invalid mask"]],
    ["host all all 10.0.0.0/ trust", ["hba line 2: invalid mask"]],
    ["host all all 10.0.0.0/8/8 trust", ["hba line 2: invalid mask"]],
    ["host all all ::/129 trust", ["hba line 2: invalid mask"]],
    ["host all all 10.0.0.0", ["hba line 2: did not find mask"]],
    ["host all all 10.0.0.0 trust", ["hba line 2: failed to parse mask: trust"]],
    ["host all all 10.0.0.0 ffff:: trust", ["hba line 2: failed to parse mask: ffff::"]],
    ["host all all :: 255.0.0.0 trust", ["hba line 2: failed to parse mask: 255.0.0.0"]],
    [
      "local all all peer clientcert=1",
      ["hba line 2: Ident map clientcert=1 is malformed. It is not in map=value format."],
    ],
    ["local all all peer map", ["hba line 2: Ident map map is malformed. It is not in map=value format."]],
    ["local all all peer map=none", ["hba line 2: Ident map none is not found in ident config file"]],
    ['local all all peer map="crew"', ["hba line 2: Ident map  is not found in ident config file"]],
    ["local all all peer map=crew more", ["hba line 2: unsupported parameters"]],
    ['local all all trust "more"', ["hba line 2: unsupported parameters"]],
    ["local all all trust, md5", ["hba line 2: unsupported parameters"]],
  ])("%s", (line, details) => {
    const file = parse(`local first all trust\n${line}\nlocal last all trust\n`);
    expect(file.problems).toEqual([...details, "could not parse hba config line 2"]);
    expect(file.rules.count).toBe(2);
    expect(localRule(file, "first", "u")?.line).toBe(1);
    expect(localRule(file, "last", "u")?.line).toBe(3);
    expect(localRule(file, "other", "u")).toBeNull();
  });

  it("is not one whose address has bits outside its mask: it is kept, with a warning", () => {
    const file = parse("host all all 192.168.1.1/0 md5\nhost all all ff21::1 ff20:: md5");
    expect(file.rules.count).toBe(2);
    expect(file.problems).toEqual([
      "address does not match mask in /etc/pool/hba.conf line #1: 192.168.1.1 / 0.0.0.0",
      "address does not match mask in /etc/pool/hba.conf line #2: ff21::1 / ff20::",
    ]);
  });
});

describe("names in a file", () => {
  it("are one list a line, relative to the file that names it", () => {
    const file = parse("local @lists/databases @users,root md5", {
      "/etc/pool/lists/databases": 'a, b\n"c d"\n\n# comment\n@more\n',
      "/etc/pool/lists/more": "e,@/all/last",
      "/all/last": "sameuser\r\n",
      "/etc/pool/users": "u",
    });
    expect(file.problems).toEqual([]);
    for (const database of ["a", "b", "c d", "e", "u"]) expect(localRule(file, database, "u")?.line).toBe(1);
    for (const database of ["c", "d", "more", "x"]) expect(localRule(file, database, "u")).toBeNull();
    expect(localRule(file, "a", "root")?.line).toBe(1);
    expect(localRule(file, "a", "x")).toBeNull();
  });

  it("may be all, and then other names do not narrow it", () => {
    const file = parse("local @d all md5", { "/etc/pool/d": "a\nall\nb" });
    expect(localRule(file, "x", "u")?.line).toBe(1);
  });

  it("keep their bytes, whatever their encoding", () => {
    const file = parse("local all @u md5", { "/etc/pool/u": Buffer.from([0x66, 0xe4, 0x0a]) });
    expect(localRule(file, "d", "f\udce4")?.line).toBe(1);
    expect(localRule(file, "d", "f\ufffd")).toBeNull();
  });

  it("are seen from the working directory when the HBA file is", () => {
    const seen: string[] = [];
    const readFile = (path: string): Uint8Array => {
      seen.push(path);
      return Buffer.from("a");
    };
    parseHba("local @x @/y md5", { fileName: "hba.conf", readFile, identMaps });
    parseHba("local @x all md5", { fileName: "etc/hba.conf", readFile, identMaps });
    parseHba("local @x all md5", { fileName: "/hba.conf", readFile, identMaps });
    expect(seen).toEqual(["x", "/y", "etc/x", "/x"]);
  });

  it("in quotes are names", () => {
    const file = parse('local "@x" all md5');
    expect(localRule(file, "@x", "u")?.line).toBe(1);
  });

  it("that are ignored are reported", () => {
    const file = parse("local @d all md5", { "/etc/pool/d": "a b\nc" });
    expect(file.problems).toEqual(["name file /etc/pool/d line 1: what stands behind the list is ignored"]);
    expect(localRule(file, "a", "u")?.line).toBe(1);
    expect(localRule(file, "b", "u")).toBeNull();
  });

  it.each([
    ["missing", {}, ["could not open name file /etc/pool/f: ENOENT: /etc/pool/f"]],
    ["broken", { "/etc/pool/f": 'a\n"b' }, ["could not parse name file /etc/pool/f line 2"]],
    ["unfinished", { "/etc/pool/f": "a,\nb" }, ["could not parse name file /etc/pool/f line 1"]],
    [
      "a group",
      { "/etc/pool/f": "samerole" },
      ["samerole is not supported", "could not parse name file /etc/pool/f line 1"],
    ],
  ])("%s: the rule is dropped", (_what, files, details) => {
    const file = parse("local @f all trust\nlocal a all md5", files);
    expect(file.problems).toEqual([...details, "could not parse hba config line 1"]);
    expect(localRule(file, "a", "u")?.line).toBe(2);
  });

  it("that name themselves come to an end", () => {
    const own = parse("local @f all trust", { "/etc/pool/f": "@f,@f,@f\n@f" });
    expect(own.rules.count).toBe(0);
    expect(own.problems[0]).toBe("could not open name file /etc/pool/f: more than 10 files in one another");
    expect(own.problems.at(-1)).toBe("could not parse hba config line 1");

    let reads = 0;
    const deeper = parseHba("local @f/f all trust", {
      fileName: "/hba.conf",
      readFile: () => Buffer.from(`@f/f${String(reads++)}`),
      identMaps,
    });
    expect(deeper.rules.count).toBe(0);
    expect(reads).toBeLessThan(20);
  });

  it("are read once, however often they are named", () => {
    let reads = 0;
    const wide = "@a,".repeat(50);
    const file = parseHba(`local ${wide}x all trust\n`.repeat(50), {
      fileName: "/hba.conf",
      readFile: (path) => {
        reads++;
        return Buffer.from(path.length < 10 ? `${`@${path.slice(1)}a,`.repeat(50)}y` : "z");
      },
      identMaps,
    });
    expect(reads).toBe(9);
    expect(file.rules.count).toBe(50);
    expect(localRule(file, "z", "u")?.line).toBe(1);
  });
});

describe("any text", () => {
  const token = fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom("local", "host", "hostssl", "hostnossl") },
    { weight: 6, arbitrary: fc.constantFrom("all", "sameuser", "replication", "samerole", "d", "u", "@f", "@g", "+x") },
    { weight: 4, arbitrary: fc.constantFrom("trust", "reject", "ldap", "cert", "map=crew", "map=", "map=x") },
    {
      weight: 4,
      arbitrary: fc.constantFrom("10.0.0.0/8", "10.0.0.1", "255.0.0.0", "::/0", "::1/128", "1/2", "/", "::1"),
    },
    { weight: 8, arbitrary: fc.constantFrom(" ", "\t", "\n") },
    { weight: 3, arbitrary: fc.constantFrom(",", '"', '""', '"a"', "#", "\0", "\r", "é", "\udcff", "\u2028") },
  );
  const text = fc.array(token, { maxLength: 60 }).map((tokens) => tokens.join(" "));
  const question = fc.record({
    isUnixSocket: fc.boolean(),
    address: fc.constantFrom("", "10.0.0.1", "::1", "::ffff:10.0.0.1", "x", "fe80::1%lo"),
    tls: fc.boolean(),
    database: fc.constantFrom("d", "u", "", "replication", "é"),
    user: fc.constantFrom("d", "u", "", "all"),
    replication: fc.constantFrom("no", "database", "yes"),
  });

  it("is read without an exception, every line is a rule or reported or blank, and every question answered", () => {
    fc.assert(
      fc.property(text, text, text, question, (text, f, g, question) => {
        const file = parse(text, { "/etc/pool/f": f, "/etc/pool/g": g });
        const reported = file.problems.filter((problem) => problem.startsWith("could not parse hba config line"));
        const blank = text.split("\n").filter((line) => /^[ \t\r]*(?:[#\0]|$)/.test(line));
        expect(file.rules.count + reported.length + blank.length).toBe(text.split("\n").length);
        const rule = file.rules.evaluate(question);
        if (rule === null) return;
        expect(rule.type === "local").toBe(question.isUnixSocket);
        expect(text.split("\n")[rule.line - 1]).toContain(rule.type);
        expect(text.split("\n")[rule.line - 1]).toContain(rule.method);
      }),
      { numRuns: 500 },
    );
  });

  it("good rules decide as a plain reading of them does, first come first", () => {
    const names = fc.uniqueArray(fc.constantFrom("all", "d", "u", "sameuser", '"all"', "x"), {
      minLength: 1,
      maxLength: 3,
    });
    const rule = fc.record({
      type: fc.constantFrom("local", "host", "hostssl", "hostnossl"),
      databases: names,
      users: names.filter((list) => !list.includes("sameuser")),
      octet: fc.constantFrom("10.0.0.0/8", "10.1.0.0/16", "11.0.0.0 255.0.0.0", "all"),
    });
    const hasName = (list: readonly string[], name: string, pair: string): boolean =>
      list.includes("all") ||
      list.includes(name === "all" ? '"all"' : name) ||
      (list.includes("sameuser") && name === pair);
    const client = fc.record({
      isUnixSocket: fc.boolean(),
      address: fc.constantFrom("10.0.0.1", "10.1.0.1", "11.2.3.4", "12.0.0.1", "::1"),
      tls: fc.boolean(),
      database: fc.constantFrom("d", "u", "all", "y"),
      user: fc.constantFrom("d", "u", "x", "all"),
      replication: fc.constantFrom("no" as const, "database" as const),
    });
    fc.assert(
      fc.property(fc.array(rule, { maxLength: 8 }), client, (rules, client) => {
        const lines = rules.map(({ type, databases, users, octet }) =>
          [type, databases.join(","), users.join(" , "), type === "local" ? "" : octet, "md5"].join(" "),
        );
        const expected = rules.findIndex(({ type, databases, users, octet }) => {
          const start = octet.split(".0")[0] ?? "";
          const isHere = client.isUnixSocket
            ? type === "local"
            : type === "host" || type === (client.tls ? "hostssl" : "hostnossl");
          const isNear = client.isUnixSocket || octet === "all" || client.address.startsWith(`${start}.`);
          return (
            isHere && isNear && hasName(databases, client.database, client.user) && hasName(users, client.user, "")
          );
        });
        const file = parse(lines.join("\n"));
        expect(file.problems).toEqual([]);
        expect(file.rules.evaluate(client)?.line ?? 0).toBe(expected + 1);
      }),
      { numRuns: 500 },
    );
  });
});
