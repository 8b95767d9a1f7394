/**
 * Random scripts: units of several owners one after the other, whose messages are what a client could send at that point
 * without losing the connection (during COPY FROM STDIN only what belongs to a COPY).
 */
import * as fc from "fast-check";
import type { ModelMessage, ModelStatement } from "./model-message.ts";
import type { Schedule, ScriptedMessage } from "./model-run.ts";
import { ServerModel } from "./server-model.ts";

export interface RandomRun {
  readonly script: readonly ScriptedMessage[];
  readonly schedule: Schedule;
}

const statement = (suspends: boolean): fc.Arbitrary<ModelStatement> =>
  fc
    .record({
      rows: fc.nat(3),
      end: fc.oneof(
        { weight: 4, arbitrary: fc.constant("C" as const) },
        {
          weight: 1,
          arbitrary: fc.constantFrom(
            "E" as const,
            "out" as const,
            "outE" as const,
            suspends ? ("s" as const) : ("C" as const),
          ),
        },
        { weight: 2, arbitrary: fc.constant("in" as const) },
        { weight: 1, arbitrary: fc.constantFrom("inE" as const, "I" as const) },
      ),
      tag: fc.constantFrom("SELECT 1", "DISCARD ALL", "DELETE 3"),
    })
    .map(({ rows, end, tag }) => ({ rows: end === "I" ? 0 : rows, end, tag }));

const fails = fc.integer({ min: 0, max: 7 }).map((n) => n === 0);

const request: fc.Arbitrary<ModelMessage> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constantFrom("parse" as const, "bind" as const, "close" as const), fails }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("describe" as const),
      answer: fc.constantFrom("T", "n", "tT", "tn", "E"),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("execute" as const), statement: statement(true) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("sync" as const), fails }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("query" as const),
      statements: fc.array(statement(false), { maxLength: 3 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("functionCall" as const), fails }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constantFrom("copyData" as const, "copyDone" as const, "copyFail" as const, "flush" as const),
    }),
  },
) as fc.Arbitrary<ModelMessage>;

const copyRequest: fc.Arbitrary<ModelMessage> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("copyData" as const), bad: fails }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("copyDone" as const), fails }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom("copyFail" as const, "flush" as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("sync" as const) }) },
) as fc.Arbitrary<ModelMessage>;

interface Choice {
  readonly request: ModelMessage;
  readonly inCopy: ModelMessage;
  readonly treatment: "swallow" | "putIn" | undefined;
  readonly before: string;
  readonly owner: number;
  readonly waits: boolean;
}

const choice: fc.Arbitrary<Choice> = fc.record({
  request,
  inCopy: copyRequest,
  treatment: fc.oneof(
    { weight: 5, arbitrary: fc.constant(undefined) },
    { weight: 1, arbitrary: fc.constant("swallow" as const) },
    { weight: 2, arbitrary: fc.constant("putIn" as const) },
  ),
  before: fc.oneof(
    { weight: 6, arbitrary: fc.constant("") },
    { weight: 1, arbitrary: fc.constantFrom("N", "S", "A", "NSA") },
  ),
  owner: fc.integer({ min: -1, max: 2 }),
  waits: fc.integer({ min: 0, max: 5 }).map((n) => n === 0),
});

/**
 * `syncInCopy`: Syncs may stand before the end of a COPY that fails, where only PostgreSQL knows which it has read. Who
 * does that waits for the answers when it has ended the COPY: what it sent on would be obeyed or skipped, nobody knows.
 */
function scriptOf(choices: readonly Choice[], syncInCopy: boolean): ScriptedMessage[] {
  const model = new ServerModel();
  const script: ScriptedMessage[] = [];
  let owner = choices[0]?.owner ?? 0;
  // The client takes the server to be in COPY FROM STDIN: it has not ended it, and has not heard that it failed.
  let copying = false;
  let syncSent = false;
  for (const { request: asked, inCopy, treatment: wished, before, owner: next, waits: patient } of choices) {
    const waits = patient || (syncSent && !copying);
    if (waits) {
      copying = model.state === "copying";
      syncSent &&= copying;
    }
    let message: ModelMessage = copying ? inCopy : asked;
    if (copying && message.kind === "sync") {
      if (syncInCopy) syncSent = true;
      else message = { kind: "flush" };
    }
    // Owners change between units only, and a server that is in doubt keeps its own.
    if (model.betweenUnits && !copying && !syncInCopy) owner = next;
    const putIn = !copying && wished === "putIn" && (message.kind === "parse" || message.kind === "close");
    if (putIn) message = { kind: message.kind as "parse" | "close" };
    const began = model.take(script.length, message).some(({ type }) => type === "G");
    if (message.kind === "copyDone" || message.kind === "copyFail") copying = false;
    copying ||= began || model.state === "copying";
    const treatment = putIn ? ("putIn" as const) : wished === "swallow" && !copying ? ("swallow" as const) : null;
    // Whose a notice in front of a ReadyForQuery too many is cannot be said.
    const noise = syncInCopy && message.kind === "sync" ? "" : before;
    script.push({ model: message, owner, before: noise, waits, ...(treatment === null ? {} : { treatment }) });
  }
  return script;
}

const schedule: fc.Arbitrary<Schedule> = fc.array(
  fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 12 }), fc.constantFrom(1, 5, 6, 100, 15_000, 17_000, 100_000)),
  { minLength: 1, maxLength: 24 },
);

/** Now and then more than fits into the pipeline's first ring. */
const choices = fc.oneof(
  { weight: 9, arbitrary: fc.array(choice, { minLength: 1, maxLength: 24 }) },
  { weight: 1, arbitrary: fc.array(choice, { minLength: 30, maxLength: 60 }) },
);

export function randomRuns(syncInCopy: boolean): fc.Arbitrary<RandomRun> {
  return fc.tuple(choices, schedule).map(([made, order]) => ({ script: scriptOf(made, syncInCopy), schedule: order }));
}
