/**
 * test/corpus: inputs that are worth running first, a folder for each target. Some were found by the fuzzer, some are known
 * to have hurt somebody. Files are small; their names say what they are.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const corpusFolder = fileURLToPath(new URL("../corpus", import.meta.url));

export interface CorpusInput {
  readonly name: string;
  readonly bytes: Uint8Array;
}

export function corpusOf(target: string): CorpusInput[] {
  const folder = join(corpusFolder, target);
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .sort()
    .map((name) => ({ name, bytes: new Uint8Array(readFileSync(join(folder, name))) }));
}

/** Returns the file's path. The same bytes have the same name. */
export function saveInput(target: string, bytes: Uint8Array): string {
  const folder = join(corpusFolder, target);
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `found-${createHash("sha256").update(bytes).digest("hex").slice(0, 12)}`);
  writeFileSync(path, bytes);
  return path;
}
