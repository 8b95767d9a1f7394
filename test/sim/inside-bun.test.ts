/** The same engine on the other runtime's JavaScript engine: seeds of the simulator inside Bun. */
import { spawnSync } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { bunPath } from "../../scripts/installation.mjs";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const seeds = 200;

test(`${seeds} seeds break no law inside Bun`, () => {
  const bun = bunPath(root);
  expect(bun).not.toBe(null);
  const args = ["--no-install", join(root, "test/sim/main.ts"), "--seeds", String(seeds), "--from", "300000"];
  const { status, stdout, stderr } = spawnSync(bun as string, args, { encoding: "utf8", timeout: 170_000 });
  expect(`${stdout}${stderr}`).toContain(`${seeds} seeds, 0 failed`);
  expect(status).toBe(0);
}, 180_000);
