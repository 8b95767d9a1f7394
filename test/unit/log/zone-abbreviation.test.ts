/** Short names of time zones from TZif files, and without them. */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseZoneFile, readZoneNames, zoneName } from "../../../src/log/zone-abbreviation.ts";

interface LocalType {
  offset: number;
  name: string;
}

/** A TZif file of version 2: types, the order in which they were in force, the rule for the time after. */
function zoneFile(types: readonly LocalType[], order: readonly number[], rule: string): Buffer {
  const block = (timeBytes: number, withData: boolean): Buffer => {
    const names = types.map((type) => `${type.name}\0`);
    const header = Buffer.alloc(44);
    header.write("TZif2");
    if (withData)
      [0, 0, 0, order.length, types.length, names.join("").length].forEach((n, i) =>
        header.writeUInt32BE(n, 20 + 4 * i),
      );
    if (!withData) return header;
    const times = Buffer.alloc(order.length * timeBytes);
    const indexes = Buffer.from(order);
    const records = Buffer.alloc(types.length * 6);
    types.forEach((type, i) => {
      records.writeInt32BE(type.offset, i * 6);
      records.writeUInt8(names.slice(0, i).join("").length, i * 6 + 5);
    });
    return Buffer.concat([header, times, indexes, records, Buffer.from(names.join(""))]);
  };
  return Buffer.concat([block(4, true), block(8, true), Buffer.from(`\n${rule}\n`)]);
}

describe("a zone file", () => {
  test("names offsets, the latest name of each, and what its rule says", () => {
    const types = [
      { offset: 3600, name: "OLD" },
      { offset: 3600, name: "CET" },
      { offset: 7200, name: "CEST" },
    ];
    expect([...parseZoneFile(zoneFile(types, [0, 2, 1], "CET-1CEST,M3.5.0,M10.5.0/3"))]).toEqual([
      [3600, "CET"],
      [7200, "CEST"],
    ]);
    expect(parseZoneFile(zoneFile(types, [1, 0], "")).get(3600)).toBe("OLD");
    expect(parseZoneFile(zoneFile(types, [1, 0], "NEW-1")).get(3600)).toBe("NEW");
    expect(parseZoneFile(zoneFile(types, [], "<-03>3<-02>2:30,M1.1.0,M2.1.0"))).toEqual(
      new Map([
        [3600, "CET"],
        [7200, "CEST"],
        [-10800, "-03"],
        [-9000, "-02"],
      ]),
    );
  });

  test("that is cut or spoiled names something or nothing, and never throws", () => {
    const whole = zoneFile(
      [
        { offset: 0, name: "GMT" },
        { offset: 3600, name: "BST" },
      ],
      [0, 1, 0],
      "GMT0BST,M3.5.0/1,M10.5.0",
    );
    fc.assert(
      fc.property(fc.nat(whole.length), fc.nat(whole.length - 1), fc.nat(255), (length, at, byte) => {
        const spoiled = Buffer.from(whole.subarray(0, length));
        if (at < length) spoiled[at] = byte;
        for (const name of readZoneNames("Any/Where", () => spoiled).values()) expect(typeof name).toBe("string");
      }),
      { numRuns: 1000 },
    );
  });
});

test("without a file the offset is the name", () => {
  const none = readZoneNames("Any/Where", () => {
    throw new Error("no such file");
  });
  expect([0, 3600, -10800, 20700, -34200].map((offset) => zoneName(none, offset))).toEqual([
    "UTC",
    "+01",
    "-03",
    "+0545",
    "-0930",
  ]);
});

test("only names of zones become paths", () => {
  const paths: string[] = [];
  const note = (path: string): Uint8Array => {
    paths.push(path);
    return new Uint8Array();
  };
  for (const zone of ["Europe/Berlin", "../../etc/passwd", "/etc/passwd", "a/../b", "", "UTC"])
    readZoneNames(zone, note);
  expect(paths).toEqual(["/usr/share/zoneinfo/Europe/Berlin"]);
});

test.skipIf(!existsSync("/usr/share/zoneinfo/Europe/Berlin"))("real files agree with the system's date", () => {
  for (const zone of [
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "America/Sao_Paulo",
    "Australia/Lord_Howe",
  ]) {
    const names = readZoneNames(zone, (path) => readFileSync(path));
    for (const second of [1_768_000_000, 1_784_000_000]) {
      const { stdout } = spawnSync("date", ["-d", `@${second}`, "+%z %Z"], { env: { TZ: zone }, encoding: "utf8" });
      const [, sign, hours, minutes, name] = /^([+-])(\d\d)(\d\d) (\S+)/.exec(stdout) ?? [];
      const offset = (Number(hours) * 3600 + Number(minutes) * 60) * (sign === "-" ? -1 : 1);
      expect(zoneName(names, offset)).toBe(name);
    }
  }
});
