/** `npm run check`: types, lint and format. Runs all three even when the first fails, and exits 1 when any did. */
import { spawnSync } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { endWithLauncher } from "../src/demo/lifeline.ts";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const bin = join(root, "node_modules/.bin");

const checks: readonly (readonly [name: string, program: string, args: readonly string[]])[] = [
  ["types", "tsc", ["-p", "tsconfig.json"]],
  ["types of the package", "tsc", ["-p", "tsconfig.build.json", "--noEmit"]],
  ["lint", "oxlint", ["--type-aware", "--deny-warnings", "src", "test", "bench", "scripts"]],
  ["format", "oxfmt", ["--check", "src", "test", "bench", "scripts"]],
];

endWithLauncher();
let failures = 0;
for (const [name, program, args] of checks) {
  const result = spawnSync(join(bin, program), args, {
    cwd: root,
    stdio: "inherit",
    // The tools start `node` from PATH; they get the one that we run on.
    env: { ...process.env, PATH: `${dirname(process.execPath)}:${process.env["PATH"] ?? ""}` },
  });
  const passed = result.status === 0;
  console.log(`${passed ? "ok" : "FAILED"}: ${name}`);
  if (!passed) failures += 1;
}
process.exit(failures === 0 ? 0 : 1);
