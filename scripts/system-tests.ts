/**
 * `npm run test:system [-- file…]`: the tests that need programs of the system (`test/system`), inside Node and inside Bun.
 *
 * They need Debian packages: slapd and ldap-utils (LDAP), libpam-pwdfile (PAM), openssl (certificates and passwords). What
 * is missing is installed when we may, else named, and nothing is run: a test that is skipped proves nothing.
 * No service of the machine is used or changed: slapd runs in a folder of the test, PAM reads its service file from one.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { endWithLauncher } from "../src/demo/lifeline.ts";
import { bunPath } from "./installation.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));

const needed: readonly (readonly [packageName: string, isThere: () => boolean])[] = [
  ["slapd", () => existsSync("/usr/sbin/slapd") && existsSync("/etc/ldap/schema/core.schema")],
  ["ldap-utils", () => isInPath("ldapadd") && isInPath("ldapwhoami")],
  ["libpam-pwdfile", () => hasPamModule("pam_pwdfile.so")],
  ["openssl", () => isInPath("openssl")],
];

endWithLauncher();
install();
const runtimes = [
  ["Node", process.execPath, []],
  // Inside Bun vitest's child processes do not come up; its threads do.
  ["Bun", bunPath(root), ["--pool=threads"]],
] as const;
let failures = 0;
for (const [name, program, args] of runtimes) {
  console.log(`\n=== inside ${name}`);
  const names = process.argv.slice(2);
  const files = names.length === 0 ? ["test/system"] : names;
  const vitest = join(root, "node_modules/vitest/vitest.mjs");
  const result =
    program === null ? null : spawnSync(program, [vitest, "run", ...files, ...args], { cwd: root, stdio: "inherit" });
  if (result === null) console.error("Bun is not installed");
  if (result?.status !== 0) failures += 1;
}
process.exit(failures === 0 ? 0 : 1);

function install(): void {
  const before = missing();
  if (before.length === 0) return;
  if (process.getuid?.() === 0 && isInPath("apt-get")) {
    console.error(`apt-get install ${before.join(" ")}`);
    // Policy: a package may not start its service; the tests start their own.
    const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1" };
    const stdio = ["ignore", 2, 2] as const;
    spawnSync("apt-get", ["update", "-q"], { env, stdio: [...stdio] });
    spawnSync("apt-get", ["install", "-y", "-q", "--no-install-recommends", ...before], { env, stdio: [...stdio] });
  }
  const after = missing();
  if (after.length === 0) return;
  console.error(`These tests need ${after.join(", ")} (names of Debian packages), which root may install.`);
  process.exit(1);
}

function missing(): string[] {
  return needed.filter(([, isThere]) => !isThere()).map(([name]) => name);
}

function isInPath(program: string): boolean {
  return (process.env["PATH"] ?? "").split(delimiter).some((folder) => existsSync(join(folder, program)));
}

function hasPamModule(file: string): boolean {
  const folders = ["/lib/security", "/usr/lib/security", "/lib64/security"];
  for (const name of existsSync("/usr/lib") ? readdirSync("/usr/lib") : []) folders.push(`/usr/lib/${name}/security`);
  return folders.some((folder) => existsSync(join(folder, file)));
}
