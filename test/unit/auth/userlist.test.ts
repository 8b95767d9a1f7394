import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseUserlist } from "../../../src/auth/userlist.ts";

function read(text: string) {
  const { users, error } = parseUserlist(text);
  return { users: [...users].map(([name, secret]) => [name, secret.reveal()]), error };
}

describe("a userlist", () => {
  it("is two quoted fields a line; the rest, comments and blank lines do not count", () => {
    const text = `; comment "x" "y"
"alice" "secret"

   "bob"\t"md5ab8b744ff66bee42dc47bae34ca17959"   more "things" here\r
\t; another
"empty" ""
"quo""te" """"
"; not a comment" ";"
"last" "without newline"`;
    expect(read(text)).toEqual({
      users: [
        ["alice", "secret"],
        ["bob", "md5ab8b744ff66bee42dc47bae34ca17959"],
        ["empty", ""],
        ['quo"te', '"'],
        ["; not a comment", ";"],
        ["last", "without newline"],
      ],
      error: null,
    });
    expect(parseUserlist(text).users.get("bob")?.kind).toBe("md5");
    expect(parseUserlist(text).users.get("empty")?.kind).toBe("none");
  });

  it("lets the later of two entries win", () => {
    expect(read('"a" "1"\n"b" "2"\n"a" "3"').users).toEqual([
      ["a", "3"],
      ["b", "2"],
    ]);
  });

  it("may hold line breaks in a field", () => {
    expect(read('"a" "x\ny"\n"b" "z"').users).toEqual([
      ["a", "x\ny"],
      ["b", "z"],
    ]);
  });

  it("may be empty, or only blanks and comments", () => {
    for (const text of ["", "\n\n", " \t\r\n", ";", ";\n;x", "\0anything"]) {
      expect(read(text)).toEqual({ users: [], error: null });
    }
  });

  it.each([
    ["no quotes", "bob secret"],
    ["no secret", '"bob"'],
    ["a secret on the next line", '"bob"\n"secret"'],
    ["an open user", '"bob'],
    ["an open secret", '"bob" "secret'],
    ["an open secret that ends in a doubled quote", '"bob" "secret""'],
    ["an open user with a doubled quote inside", '"bo""b'],
    ["something before the user", 'x "bob" "secret"'],
    ["a hash comment", "# comment"],
  ])("stops at a malformed line and keeps what came before: %s", (_, line) => {
    expect(read(`"a" "1"\n\n${line}`)).toEqual({
      users: [["a", "1"]],
      error: { line: 3, message: "broken auth file" },
    });
  });

  it.each(["bob secret", '"bob"', 'x "bob" "secret"', "# comment"])(
    "reads nothing behind a malformed line: %s",
    (line) => {
      expect(read(`"a" "1"\n; c\n  ${line}\n"z" "9"\n`)).toEqual({
        users: [["a", "1"]],
        error: { line: 3, message: "broken auth file" },
      });
    },
  );

  it("bounds names and secrets, in bytes as they stand in the file", () => {
    const ok = `"${"é".repeat(63)}x" "${"s".repeat(65_530)}"`;
    expect(read(ok).error).toBeNull();
    expect(read(ok).users).toHaveLength(1);
    expect(read(`\n"${"é".repeat(64)}" "s"`)).toEqual({
      users: [],
      error: { line: 2, message: "username too long in auth file" },
    });
    expect(read(`"${'""'.repeat(64)}" "s"`).error?.message).toBe("username too long in auth file");
    expect(read(`"u" "${"s".repeat(65_531)}"`).error?.message).toBe("password too long in auth file");
  });

  it("gives back every list of users that is printed by the rules", () => {
    const field = (bytes: number) =>
      fc.string({ unit: "binary" }).filter((s) => !s.includes("\0") && Buffer.byteLength(s) * 2 <= bytes);
    const quoted = (s: string) => `"${s.replaceAll('"', '""')}"`;
    const gap = fc.constantFrom(" ", "\t", "", " : ");
    const tail = fc.constantFrom("\n", " trailing\n", "\r\n", "\n\n ; note\n");
    const row = fc.tuple(field(127), fc.constantFrom(" ", "\t", " : "), field(1000), gap, tail);
    fc.assert(
      fc.property(fc.array(row), (rows) => {
        const text = rows.map(([user, between, secret, after, end]) => {
          return quoted(user) + between + quoted(secret) + after + end;
        });
        const expected = new Map(rows.map(([user, , secret]) => [user, secret]));
        const result = read(text.join(""));
        expect(result.error).toBeNull();
        expect(result.users).toEqual([...expected]);
      }),
    );
  });

  it("never throws, whatever the text", () => {
    const pieces = fc.array(fc.constantFrom('"', '""', "\n", " ", ";", "a", "\r", "\0", "é")).map((p) => p.join(""));
    fc.assert(
      fc.property(fc.oneof(pieces, fc.string({ unit: "binary" })), (text) => {
        const { error } = parseUserlist(text);
        const line = error?.line ?? 1;
        expect(line).toBeGreaterThanOrEqual(1);
        expect(line).toBeLessThanOrEqual(text.split("\n").length);
      }),
      { numRuns: 500 },
    );
  });
});
