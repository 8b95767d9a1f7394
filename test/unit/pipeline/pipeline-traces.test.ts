/**
 * What a real PostgreSQL 18 answered (`traces/`, written by `record-traces.ts`): the model says the same, and the
 * pipeline gives every byte of it to its owner, in the recorded order of events and in others that were possible.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Pipeline } from "../../../src/pipeline/pipeline.ts";
import { Framer } from "../../../src/protocol/framer.ts";
import { Step } from "../../../src/pipeline/step.ts";
import { RecordingHost, RecordingOwner } from "./recorder.ts";
import { ServerModel } from "./server-model.ts";
import { fileNameOf, readTrace, type TraceLine } from "./trace-file.ts";
import { TRACE_SCRIPTS, type TraceScript } from "./trace-scripts.ts";

const folder = join(import.meta.dirname, "traces");

/** Messages that come when they want to. */
const UNASKED = ["N", "A", "S"];

const STEP_OF: Readonly<Record<string, number>> = {
  P: Step.parse,
  B: Step.bind,
  D: Step.describe,
  E: Step.execute,
  C: Step.close,
  S: Step.sync,
  Q: Step.query,
  F: Step.functionCall,
  c: Step.copyEnd,
  f: Step.copyEnd,
};

function traceOf(script: TraceScript): TraceLine[] {
  return readTrace(readFileSync(join(folder, fileNameOf(script.name)), "utf8"));
}

function typesOf(lines: readonly TraceLine[]): string {
  return lines.map(({ type }) => type).join("");
}

/** `ahead`: how many messages more are sent, where one is sent at all, than had been when the trace was written. */
function replay(lines: readonly TraceLine[], ahead: number, cuts: readonly number[]): void {
  const sent = lines.filter((line) => line.sent);
  const stream = Buffer.concat(lines.filter((line) => !line.sent).map(({ bytes }) => bytes));
  const host = new RecordingHost();
  const pipeline = new Pipeline(host);
  const owner = new RecordingOwner("client");
  const framer = new Framer();
  pipeline.linked = owner;
  let pushed = 0;
  let received = 0;
  let cut = 0;
  const pushUpTo = (count: number): void => {
    for (; pushed < Math.min(count, sent.length); pushed++) {
      const step = STEP_OF[sent[pushed]?.type ?? ""] ?? 0;
      if (step !== 0) pipeline.push(step, owner, null);
    }
  };
  let seen = 0;
  let end = 0;
  const receiveUpTo = (limit: number): void => {
    while (received < limit) {
      const size = Math.min(cuts[cut++ % cuts.length] as number, limit - received);
      // A copy, as what comes from a socket is memory of its own.
      framer.push(Uint8Array.prototype.slice.call(stream, received, received + size));
      received += size;
      pipeline.receive(framer, 0x7fffffff);
    }
  };
  for (const line of lines) {
    if (line.sent) {
      receiveUpTo(end);
      seen++;
      pushUpTo(seen + ahead);
    } else {
      end += line.bytes.length;
    }
  }
  receiveUpTo(end);
  expect(host.brokenReason).toBe(null);
  expect(owner.bytes.equals(stream)).toBe(true);
  expect(owner.ends).toEqual(
    lines
      .filter(({ sent: isSent, type }) => !isSent && type === "Z")
      .map(({ bytes }) => String.fromCharCode(bytes[5] as number)),
  );
  expect(pipeline.length).toBe(0);
  expect(pipeline.isEmpty).toBe(true);
}

test("there is a trace for each script and a script for each trace", () => {
  expect(readdirSync(folder).sort()).toEqual(TRACE_SCRIPTS.map(({ name }) => fileNameOf(name)).sort());
});

describe.each(TRACE_SCRIPTS.map((script) => [script.name, script] as const))("%s", (_name, script) => {
  test("what was sent is what the script says", () => {
    const sent = traceOf(script).filter((line) => line.sent);
    expect(sent.map(({ bytes }) => Buffer.from(bytes).toString("latin1"))).toEqual(
      script.messages.map(({ bytes }) => Buffer.from(bytes).toString("latin1")),
    );
  });

  test("the model answers as PostgreSQL did", () => {
    const model = new ServerModel();
    const answers = script.messages.flatMap(({ model: message }, number) => model.take(number, message));
    const real = traceOf(script).filter(({ sent, type }) => !sent && !UNASKED.includes(type));
    expect(answers.map(({ type }) => type).join("")).toBe(typesOf(real));
    const tags = real
      .filter(({ type }) => type === "C")
      .map(({ bytes }) => Buffer.from(bytes.subarray(5, -1)).toString());
    const saidTags = answers.filter(({ type }) => type === "C").map(({ tag }) => tag);
    expect(saidTags.map((tag, index) => tag ?? tags[index])).toEqual(tags);
    expect(model.betweenUnits).toBe(true);
  });

  test("the pipeline gives every byte to its owner", () => {
    const lines = traceOf(script);
    expect(() => {
      replay(lines, 0, [100_000]);
      replay(lines, 0, [1]);
      replay(lines, 1000, [100_000]);
      fc.assert(
        fc.property(
          fc.nat(6),
          fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 8 }),
          (ahead, cuts) => replay(lines, ahead, cuts),
        ),
        { numRuns: 30 },
      );
    }).not.toThrow();
  });
});
