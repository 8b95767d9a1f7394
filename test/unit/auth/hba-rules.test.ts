import { describe, expect, it } from "vitest";
import { parseHba } from "../../../src/auth/hba-file.ts";
import type { HbaQuestion } from "../../../src/auth/hba-rules.ts";

/** `DATABASE USER ADDRESS` and perhaps `tls`, `yes` (physical replication) or `database` (logical). */
function question(text: string): HbaQuestion {
  const [database = "", user = "", address = "", ...more] = text.split(" ");
  const isUnixSocket = address === "unix";
  return {
    isUnixSocket,
    address: isUnixSocket ? "" : address,
    tls: more.includes("tls"),
    database,
    user,
    replication: more.includes("yes") ? "yes" : more.includes("database") ? "database" : "no",
  };
}

/** The line of the rule that decides, null when none does. */
function lineFor(rules: readonly string[], text: string): number | null {
  const file = parseHba(rules.join("\n"), {
    fileName: "hba.conf",
    readFile: () => {
      throw new Error("no such file");
    },
    identMaps: new Map(),
  });
  expect(file.rules.count).toBe(rules.length);
  return file.rules.evaluate(question(text))?.line ?? null;
}

describe("the type of a rule", () => {
  const rules = ["local all all md5", "hostssl all all all cert", "hostnossl all all all reject"];

  it.each([
    ["d u unix", 1],
    ["d u unix tls", 1],
    ["d u 10.0.0.1 tls", 2],
    ["d u ::1 tls", 2],
    ["d u 10.0.0.1", 3],
    ["d u ::1", 3],
  ])("%s: line %s", (text, line) => {
    expect(lineFor(rules, text)).toBe(line);
  });

  it("host is for TCP with TLS and without, and not for the Unix socket", () => {
    expect(lineFor(["host all all all md5"], "d u 10.0.0.1 tls")).toBe(1);
    expect(lineFor(["host all all all md5"], "d u 10.0.0.1")).toBe(1);
    expect(lineFor(["host all all all md5", "hostssl all all all md5"], "d u unix")).toBeNull();
  });

  it("local is not for TCP", () => {
    expect(lineFor(["local all all trust"], "d u 127.0.0.1")).toBeNull();
  });
});

describe("database and user of a rule", () => {
  it.each([
    ["local all all md5", "d u unix", 1],
    ["local d u md5", "d u unix", 1],
    ["local d u md5", "D u unix", null],
    ["local d u md5", "d x unix", null],
    ["local a,d , c x,u md5", "d u unix", 1],
    ['local "all" u md5', "d u unix", null],
    ['local "all" u md5', "all u unix", 1],
    ["local sameuser all md5", "u u unix", 1],
    ["local sameuser all md5", "d u unix", null],
    ["local sameuser,d all md5", "d u unix", 1],
    ['local "sameuser" all md5', "u u unix", null],
    // PgBouncer's keywords are the same in both columns.
    ["local all sameuser md5", "u u unix", 1],
    ["local all sameuser md5", "d u unix", null],
    ["local all replication md5", "d replication unix", null],
    ['local all "replication" md5', "d replication unix", 1],
  ])("%s, %s: line %s", (rule, text, line) => {
    expect(lineFor([rule], text)).toBe(line);
  });
});

describe("replication", () => {
  it.each([
    ["local replication all md5", "d u unix yes", 1],
    ["local d,replication all md5", "x u unix yes", 1],
    ["local all all md5", "d u unix yes", null],
    ["local d all md5", "d u unix yes", null],
    ['local "replication" all md5', "replication u unix yes", null],
    ["local replication v md5", "d u unix yes", null],
    ["local replication all md5", "d u unix database", null],
    ["local replication all md5", "replication u unix", null],
    ["local all all md5", "d u unix database", 1],
    ["local d all md5", "d u unix database", 1],
  ])("%s, %s: line %s", (rule, text, line) => {
    expect(lineFor([rule], text)).toBe(line);
  });
});

describe("the address of a rule", () => {
  it.each([
    ["host all all 10.0.0.0/8 md5", "d u 10.255.0.1", 1],
    ["host all all 10.0.0.0/8 md5", "d u 11.0.0.1", null],
    ["host all all 10.0.0.0 255.0.0.0 md5", "d u 10.255.0.1", 1],
    ["host all all 10.0.0.0 255.0.0.0 md5", "d u 11.0.0.1", null],
    ["host all all 10.0.0.0 255.0.0.255 md5", "d u 10.1.1.0", 1],
    ["host all all 10.0.0.0 255.0.0.255 md5", "d u 10.1.1.1", null],
    ["host all all 0.0.0.0/0 md5", "d u 10.0.0.1", 1],
    ["host all all 0.0.0.0/0 md5", "d u ::1", null],
    ["host all all ::/0 md5", "d u ::1", 1],
    ["host all all ::/0 md5", "d u 10.0.0.1", null],
    ["host all all ff20::/12 md5", "d u ff2f:3::1", 1],
    ["host all all ff20:: fff0:: md5", "d u ff2f:3::1", 1],
    ["host all all ff20::/12 md5", "d u ff30::1", null],
    ["host all all 10.0.0.1/32 md5", "d u ::ffff:10.0.0.1", 1],
    ["host all all fe80::/10 md5", "d u fe80::1%eth0", 1],
    // Bits outside the mask: such a rule is for nobody.
    ["host all all 192.168.1.1/0 md5", "d u 192.168.1.1", null],
    // Nobody knows where such a client comes from.
    ["host all all all trust", "d u somewhere", null],
    ["local all all trust", "d u somewhere", null],
  ])("%s, %s: line %s", (rule, text, line) => {
    expect(lineFor([rule], text)).toBe(line);
  });
});

describe("of several rules", () => {
  it("the first that matches decides, also when it rejects", () => {
    const rules = [
      "host a all all trust",
      "host all bad all reject",
      "host all all 10.0.0.0/8 md5",
      "host all all all cert",
    ];
    expect(lineFor(rules, "a bad 10.0.0.1")).toBe(1);
    expect(lineFor(rules, "b bad 10.0.0.1")).toBe(2);
    expect(lineFor(rules, "b good 10.0.0.1")).toBe(3);
    expect(lineFor(rules, "b good 11.0.0.1")).toBe(4);
  });

  it("none may match, and of no rules none does", () => {
    expect(lineFor(["local a a md5"], "b b unix")).toBeNull();
    const empty = parseHba("", { fileName: "", readFile: () => new Uint8Array(), identMaps: new Map() });
    expect(empty.rules.evaluate(question("d u unix"))).toBeNull();
  });
});
