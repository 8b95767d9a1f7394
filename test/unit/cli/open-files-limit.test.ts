/** The kernel's account of descriptors, and what PgBouncer's formula makes of the configuration. */
import { expect, test } from "vitest";
import { expectedDescriptors, openFilesLimit } from "../../../src/cli/open-files-limit.ts";

const limits = (soft: string): string =>
  `Limit                     Soft Limit           Hard Limit           Units
Max processes             7                    7                    processes
Max open files            ${soft.padEnd(20)} 524288               files
`;

test("is read from the kernel's table", () => {
  const files: string[] = [];
  const read = (path: string): Uint8Array => {
    files.push(path);
    return Buffer.from(limits("1024"));
  };
  expect(openFilesLimit(read)).toEqual({ soft: "1024", hard: "524288" });
  expect(files).toEqual(["/proc/self/limits"]);
  expect(openFilesLimit(() => Buffer.from(limits("unlimited")))?.soft).toBe("unlimited");
  expect(openFilesLimit(() => Buffer.from("nothing of the kind"))).toBeNull();
  expect(
    openFilesLimit(() => {
      throw new Error("ENOENT");
    }),
  ).toBeNull();
});

test("clients, ten, the console, and each database's pools: one for a forced user, else one for each user", () => {
  const settings = { maxClientConn: 100, defaultPoolSize: 20 };
  expect(expectedDescriptors(settings, [], 5)).toBe(112);
  const databases = [
    { user: null, poolSize: null },
    { user: "app", poolSize: null },
    { user: null, poolSize: 3 },
    { user: "app", poolSize: 0 },
  ];
  expect(expectedDescriptors(settings, databases, 5)).toBe(112 + 20 * 5 + 20 + 3 * 5 + 0);
});
