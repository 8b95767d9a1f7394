/**
 * Pipelines broken on purpose: the comparison with the model must catch each of them, or it proves nothing.
 *
 * What is broken is private, so the mutants are made of the source's text; each says which words of it are replaced, and
 * must find them exactly once.
 */
import { readFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { describe, expect, test } from "vitest";
import { differsFromModel } from "./model-agreement.ts";
import type { PipelineClass } from "./model-run.ts";

const RUNS_MAX = 20_000;
const SOURCE = new URL("../../../src/pipeline/pipeline.ts", import.meta.url);

type Mutant = readonly [what: string, words: string, replacement: string];

const MUTANTS: readonly Mutant[] = [
  [
    "a step that was answered stays",
    "case Effect.answers:\n        this.#lateReadies = 0;\n        this.#pop();",
    "case Effect.answers:\n        this.#lateReadies = 0;",
  ],
  ["what is remembered of answered steps counts for ever", "      this.#refsCount--;\n", ""],
  [
    "ReadyForQuery takes two steps",
    "this.#ownReadyFirst = false;\n      this.#pop();",
    "this.#ownReadyFirst = false;\n      this.#pop();\n      if (this.#count > 0) this.#pop();",
  ],
  [
    "answers go to whoever was answered last",
    "return this.#owners[this.#head] as EntryOwner | null;\n  }\n\n  /** A ReadyForQuery",
    "return this.#owners[(this.#head + 1) & this.#mask] as EntryOwner | null;\n  }\n\n  /** A ReadyForQuery",
  ],
  [
    "the next owner's bytes are joined to a run",
    "if (owner !== runOwner || runEnd !== at ||",
    "if (runOwner === null || runEnd !== at ||",
  ],
  ["errors are swallowed too", "(step & SWALLOW) !== 0 && type !== Backend.ErrorResponse", "(step & SWALLOW) !== 0"],
  ["nothing is swallowed", "(step & SWALLOW) !== 0 && type !== Backend.ErrorResponse", "false"],
  ["what is put in comes at once", "(step & PUT_IN) !== 0 && this.#count === 0 &&", "(step & PUT_IN) !== 0 &&"],
  ["what is put in is forgotten", "if ((step & PUT_IN) !== 0) owner?.answer(putInAnswer(step & KIND_MASK), 0, 5);", ""],
  [
    "what is put in comes into a streamed answer",
    "this.#count > 0 && this.#restOwner === null && needsNoAnswer",
    "this.#count > 0 && needsNoAnswer",
  ],
  ["a Close is answered with ParseComplete", "kind === Step.parse ? PARSE_COMPLETE : CLOSE_COMPLETE", "PARSE_COMPLETE"],
  ["an error skips nothing", "if (!isTerminator(kind)) this.#skipToSync();", "if (!isTerminator(kind)) this.#pop();"],
  [
    "an error of a Query skips too",
    "if (!isTerminator(kind)) this.#skipToSync();",
    "if (kind !== Step.sync) this.#skipToSync();",
  ],
  [
    "a Query ends skipping",
    "if (((this.#steps[this.#head] as number) & KIND_MASK) === Step.sync) {",
    "if (isTerminator(this.#steps[this.#head] as number)) {",
  ],
  ["what is sent while skipping is expected to be answered", "ref?.undo();\n        return;", "ref?.undo();"],
  ["what is skipped is not undone", "if (ref !== null) undone.push(ref);", ""],
  [
    "the Sync is forgotten when skipping ends",
    "this.#skipping = false;\n        break;",
    "this.#skipping = false;\n        this.#pop();\n        break;",
  ],
  [
    "Syncs within COPY are expected to be answered",
    "if (kind === Step.sync && !this.#copyEndSent) {",
    "if (kind === Step.copyEnd && false) {",
  ],
  [
    "a Sync behind the end of a COPY is taken for one within",
    "if (kind === Step.copyEnd) this.#copyEndSent = true;\n      else",
    "",
  ],
  [
    "the end of a COPY waits for an answer",
    "return (step & PUT_IN) !== 0 || (step & KIND_MASK) === Step.copyEnd;",
    "return (step & PUT_IN) !== 0;",
  ],
  [
    "the second COPY of a Query has no end",
    "if (this.#count === 0) return;",
    "if (this.#count === 0 || this.#copyEndSent) return;",
  ],
  [
    "a COPY that fails goes on",
    "this.#ownReadyFirst = kind === Step.query;\n      this.#endCopy();",
    "this.#ownReadyFirst = kind === Step.query;",
  ],
  ["a COPY that is complete goes on", "if (this.#copyIn) this.#endCopy();", ""],
  [
    "a Sync that the COPY took has ended the unit",
    "this.#open = !isTerminator(this.#steps[this.#head] as number);",
    "",
  ],
  ["no ReadyForQuery is expected for a Sync that the COPY left", "this.#lateReadies = this.#syncsInCopy;", ""],
  [
    "the server is used again although one may come",
    "if (this.#lateReadies > 0 || this.#unknown) this.#host.stray",
    "if (false) this.#host.stray",
  ],
  [
    "a unit is over before its Sync",
    "this.#open = !isTerminator(step);\n      if (kind",
    "this.#open = false;\n      if (kind",
  ],
  ["the rest of a streamed answer goes to nobody", "if (end - at < size) this.#restOwner = owner;", ""],
  ["the rest of a streamed answer goes to the head", "const rest = this.#restOwner;", "const rest = this.headOwner;"],
  [
    "the ring forgets where it began when it grows",
    "const from = (this.#head + i) & this.#mask;\n      steps.push",
    "const from = i;\n      steps.push",
  ],
  [
    "the asker is told before it has its bytes",
    "if (runOwner !== null) runOwner.answer(memory, runStart, withheld ? at : end);\n          runOwner = null;",
    "runOwner = null;",
  ],
];

async function broken(words: string, replacement: string): Promise<PipelineClass> {
  const text = readFileSync(SOURCE, "utf8");
  expect(text.split(words)).toHaveLength(2);
  const script = stripTypeScriptTypes(text.replace(words, () => replacement)).replaceAll(
    /from "(\.[^"]+)"/g,
    (_all, path: string) => `from "${new URL(path, SOURCE).href}"`,
  );
  const url = `data:text/javascript,${encodeURIComponent(script)}`;
  const module = (await import(/* @vite-ignore */ url)) as { Pipeline: PipelineClass };
  return module.Pipeline;
}

test("the source as it is, taken the same way, is not caught", async () => {
  const right = await broken("export class Pipeline {", "export class Pipeline {");
  expect(differsFromModel(right, 500)).toBe(false);
});

describe("a broken pipeline is caught", () => {
  test.each(MUTANTS)("%s", async (_what, words, replacement) => {
    expect(differsFromModel(await broken(words, replacement), RUNS_MAX)).toBe(true);
  });
});
