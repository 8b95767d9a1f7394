import { inspect } from "node:util";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ScramKeys } from "../../../src/auth/scram-keys.ts";
import { StoredSecret } from "../../../src/auth/stored-secret.ts";

const scram =
  "SCRAM-SHA-256$4096:D76gvGUVj9Z4DNiGoabOBg==$RukL0Xo3Ql/2F9FsD7mcQ3GATG2fD3PA71qY1JagGDs=:BhKUwyyivFm7Tq2jDJVXSVRbRDgTWyBilZKgg6DDuYU=";
const md5 = "md5ab8b744ff66bee42dc47bae34ca17959";

describe("the kind of a secret", () => {
  it.each([
    ["", "none"],
    ["foo", "plain"],
    [md5, "md5"],
    [md5.toUpperCase(), "plain"],
    [md5.replace("a", "A"), "plain"],
    [md5.slice(0, -1), "plain"],
    [`${md5}0`, "plain"],
    [`${md5}\n`, "plain"],
    [scram, "scram"],
    [scram.slice(0, -1), "plain"],
    ["SCRAM-SHA-256$", "plain"],
  ])("of %j is %s", (text, kind) => {
    const secret = new StoredSecret(text);
    expect(secret.kind).toBe(kind);
    expect(secret.reveal()).toBe(text);
    expect(secret.verifier !== null).toBe(kind === "scram");
  });
});

it("shows nothing of a secret, whichever way it is printed", () => {
  const mark = "Xq7secretZ9";
  const shown = (value: object) =>
    [
      inspect(value, { showHidden: true, depth: 9, getters: false }),
      inspect({ value }, { depth: 9 }),
      JSON.stringify({ value }),
      Object.prototype.toString.call(value),
      Object.entries(value).join(),
    ].join("\n");
  expect(shown(new StoredSecret(mark))).not.toContain(mark);
  expect(shown(new StoredSecret(scram))).not.toMatch(/D76gvGUV|RukL0Xo3|BhKUwyyi|15,\s*190/);
  const keys = new ScramKeys(new Uint8Array(32).fill(77), new Uint8Array(32).fill(99));
  expect(shown(keys)).not.toMatch(/77|99|4d/);
});

it("takes any text", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      const secret = new StoredSecret(text);
      expect(secret.reveal()).toBe(text);
      expect(secret.kind).toBe(text === "" ? "none" : "plain");
    }),
  );
});
