/**
 * A pipeline that is written down between two messages goes on in another one as if nothing had happened; and one of which
 * nobody knows what was asked.
 */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Pipeline } from "../../../src/pipeline/pipeline.ts";
import { isPipelineForm } from "../../../src/pipeline/pipeline-form.ts";
import type { PipelineForm } from "../../../src/pipeline/pipeline-form.ts";
import { PUT_IN, Step, SWALLOW, UNNAMED } from "../../../src/pipeline/step.ts";
import { Framer } from "../../../src/protocol/framer.ts";
import { expectationOf, framed, STEP_OF, types } from "./model-run.ts";
import type { ScriptedMessage } from "./model-run.ts";
import { randomRuns } from "./random-scripts.ts";
import { RecordingHost, RecordingOwner, RecordingUndo } from "./recorder.ts";

const RUNS = 1500;
const BYTES_MAX = 0x7fffffff;
const STATUS = Buffer.from("I");

/** How often the pipeline has moved into another one. */
function runMoving(script: readonly ScriptedMessage[], schedule: readonly number[]): number {
  const mine = script.map((message) => ({ ...message, owner: message.owner < 0 ? -1 : 0 }));
  const expected = expectationOf(mine);
  const host = new RecordingHost();
  const owner = new RecordingOwner("owner 0");
  const framer = new Framer();
  let pipeline = new Pipeline(host);
  pipeline.linked = owner;
  let moves = 0;
  let pushed = 0;
  let received = 0;
  const available = (): number => (pushed === 0 ? 0 : expected.perMessage[pushed - 1]!.streamEnd) - received;
  for (let i = 0; pushed < mine.length || available() > 0; i += 1) {
    const next = schedule[i % schedule.length]!;
    const mayPush = pushed < mine.length && (mine[pushed]!.waits !== true || available() === 0);
    if (mayPush && (next === 0 || available() === 0)) {
      const { model, owner: number, treatment } = mine[pushed]!;
      const flags = treatment === "swallow" ? SWALLOW : treatment === "putIn" ? PUT_IN : 0;
      const step = STEP_OF[model.kind];
      // Every other Parse is of the unnamed statement.
      const unnamed = step === Step.parse && pushed % 2 === 0 ? UNNAMED : 0;
      if (step !== 0) pipeline.push(step | flags | unnamed, number < 0 ? null : owner, null);
      pushed += 1;
    } else {
      const end = received + Math.min(next === 0 ? available() : next + 500, available());
      framer.push(expected.stream.slice(received, end));
      received = end;
      pipeline.receive(framer, BYTES_MAX);
    }
    expect(host.brokenReason).toBeNull();
    if (!framer.atBoundary) {
      // Held, or on its way to somebody: no time to move.
      continue;
    }
    const form = JSON.parse(JSON.stringify(pipeline.written())) as PipelineForm | null;
    expect(isPipelineForm(form)).toBe(true);
    const before = [pipeline.length, pipeline.isEmpty, pipeline.inCopy, pipeline.isSkipping, pipeline.isOpen];
    pipeline = new Pipeline(host);
    pipeline.restore(form, owner);
    expect([pipeline.length, pipeline.isEmpty, pipeline.inCopy, pipeline.isSkipping, pipeline.isOpen]).toEqual(before);
    moves += 1;
  }
  const bytes = expected.bytesOf.get(0) ?? Buffer.alloc(0);
  expect(types(owner.bytes)).toBe(types(bytes));
  expect(owner.bytes.equals(bytes)).toBe(true);
  expect(host.readies.map((ready) => (ready.owner === null ? -1 : 0))).toEqual(expected.readies);
  return moves;
}

describe("written down and restored between any two messages", () => {
  test.each([false, true])("all answers are the model's (Syncs within a COPY: %s)", (syncInCopy) => {
    let moves = 0;
    fc.assert(
      fc.property(randomRuns(syncInCopy), ({ script, schedule }) => {
        moves += runMoving(script, schedule);
      }),
      { numRuns: RUNS },
    );
    expect(moves).toBeGreaterThan(RUNS);
  });

  test("what a name means is not decided: that is said", () => {
    const pipeline = new Pipeline(new RecordingHost());
    const owner = new RecordingOwner("client");
    pipeline.linked = owner;
    expect(pipeline.written()).toMatchObject({ undecided: false, steps: [] });
    pipeline.push(Step.parse, owner, new RecordingUndo(0, []));
    expect(pipeline.written()).toMatchObject({ undecided: true });
  });

  test("what somebody else has asked cannot be written down", () => {
    const pipeline = new Pipeline(new RecordingHost());
    pipeline.linked = new RecordingOwner("client");
    pipeline.push(Step.query, new RecordingOwner("task"), null);
    expect(pipeline.written()).toBeNull();
  });
});

describe("nobody knows what was asked", () => {
  const unknown = (): { host: RecordingHost; owner: RecordingOwner; pipeline: Pipeline } => {
    const host = new RecordingHost();
    const owner = new RecordingOwner("client");
    const pipeline = new Pipeline(host);
    pipeline.restore(null, owner);
    return { host, owner, pipeline };
  };
  const give = (pipeline: Pipeline, letters: string): void => {
    const framer = new Framer();
    const bodies = new Map([
      ["Z", STATUS],
      ["C", Buffer.from("SELECT 1\0")],
    ]);
    framer.push(Buffer.concat(Array.from(letters, (letter) => framed(letter, bodies.get(letter) ?? Buffer.alloc(2)))));
    pipeline.receive(framer, BYTES_MAX);
  };

  test.each(["TDDCZ", "2DCZ", "DDCTDCZ", "GCZ", "EZ", "Z"])("its answers %s go to who holds the server", (letters) => {
    const { host, owner, pipeline } = unknown();
    expect([pipeline.isEmpty, pipeline.isUnknown, pipeline.written()]).toEqual([false, true, null]);
    give(pipeline, letters);
    expect(types(owner.bytes)).toBe(letters);
    expect([pipeline.isEmpty, pipeline.isUnknown]).toEqual([true, false]);
    expect(host).toMatchObject({ brokenReason: null, strays: [], readies: [{ owner, status: "I" }] });
    // From now on it is believed no more.
    give(pipeline, "D");
    expect(host.brokenReason).not.toBeNull();
  });

  test("nothing was: the client's next unit is answered, and the server is not used again", () => {
    const { host, owner, pipeline } = unknown();
    pipeline.push(Step.query, owner, null);
    give(pipeline, "TDCZ");
    expect(types(owner.bytes)).toBe("TDCZ");
    expect([pipeline.isEmpty, host.brokenReason, host.strays]).toEqual([true, null, ["Z"]]);
  });

  test("half a unit was, and its other half comes", () => {
    const { host, owner, pipeline } = unknown();
    pipeline.push(Step.execute, owner, null);
    pipeline.push(Step.sync, owner, null);
    give(pipeline, "12DCZ");
    expect(types(owner.bytes)).toBe("12DCZ");
    expect([pipeline.isEmpty, host.brokenReason]).toEqual([true, null]);
  });
});
