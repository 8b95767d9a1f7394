/** A secret is seen only by who asks for it. */
import { format, inspect } from "node:util";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { sameSecret, Secret } from "../../../src/config/secret.ts";

test("no way of printing shows it", () => {
  fc.assert(
    fc.property(fc.string({ minLength: 5 }), (rest) => {
      const text = `hunter2${rest}`;
      const secret = new Secret(text);
      const printed = [
        inspect(secret, { showHidden: true, depth: 9 }),
        inspect({ deep: { secret } }),
        format("%s %o %j %O %d", secret, secret, secret, secret, secret),
        JSON.stringify({ secret, list: [secret] }),
        String(secret),
        `in a text: ${secret.toString()}`,
        `in a template: ${secret as unknown as string}`,
        "joined: " + (secret as unknown as string),
        JSON.stringify(structuredCloneOrNothing(secret)),
        Object.entries(secret).join(""),
        inspect(new Error("x", { cause: secret })),
      ].join("\n");
      expect(printed).not.toContain("hunter2");
      expect(secret.reveal()).toBe(text);
    }),
  );
});

test("compares", () => {
  expect(new Secret("a").equals(new Secret("a"))).toBe(true);
  expect(new Secret("a").equals(new Secret("b"))).toBe(false);
  expect(new Secret("a").equals(null)).toBe(false);
  expect(sameSecret(null, null)).toBe(true);
  expect(sameSecret(null, new Secret(""))).toBe(false);
  expect(sameSecret(new Secret("a"), new Secret("a"))).toBe(true);
});

function structuredCloneOrNothing(value: unknown): unknown {
  try {
    return structuredClone(value);
  } catch {
    return undefined;
  }
}
