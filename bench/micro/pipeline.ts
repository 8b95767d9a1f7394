/**
 * What it costs to put a unit into a pipeline and to give its answer to its owner.
 *
 *     node bench/micro/pipeline.ts        bun bench/micro/pipeline.ts
 */
import { Pipeline, type EntryOwner, type PipelineHost } from "../../src/pipeline/pipeline.ts";
import { PUT_IN, Step, SWALLOW } from "../../src/pipeline/step.ts";
import { Framer } from "../../src/protocol/framer.ts";
import { printNanoseconds, runtimeLabel } from "./measure.ts";

const UNITS = 1000;
const MESSAGE_BYTES_MAX = 0x7fffffff;

let answered = 0;
const owner: EntryOwner = { answer: () => {}, ended: () => void answered++ };
const other: EntryOwner = { answer: () => {}, ended: () => void answered++ };
const host: PipelineHost = {
  ready: (owner, status) => owner?.ended(status),
  withholdsReady: () => false,
  failed: () => {},
  unnamedLost: () => {},
  completed: () => {},
  parameterStatus: () => {},
  stray: () => {
    throw new Error("an answer came that nobody asked for");
  },
  broken: (reason) => {
    throw new Error(reason);
  },
};

function message(type: string, contentBytes: number): Buffer {
  const bytes = Buffer.alloc(5 + contentBytes);
  bytes.write(type, 0, "latin1");
  bytes.writeUInt32BE(4 + contentBytes, 1);
  return bytes;
}

const ready = message("Z", 1);
ready.write("I", 5, "latin1");
const complete = message("C", 9);
complete.write("SELECT 1\0", 5, "latin1");
const queryAnswer = Buffer.concat([message("T", 33), message("D", 10), complete, ready]);
const preparedAnswer = Buffer.concat([message("2", 0), message("T", 33), message("D", 10), complete, ready]);

/** Some units at a time, as a server has them: `depth` are pushed before the first is answered. */
function measure(name: string, push: (pipeline: Pipeline, unit: number) => void, answer: Buffer, depth: number): void {
  const pipeline = new Pipeline(host);
  const framer = new Framer();
  const answers = Buffer.concat(Array.from({ length: depth }, () => answer));
  printNanoseconds(`${name}, ${depth} at a time`, () => {
    answered = 0;
    for (let done = 0; done < UNITS; done += depth) {
      for (let unit = 0; unit < depth; unit++) push(pipeline, unit);
      framer.push(answers);
      pipeline.receive(framer, MESSAGE_BYTES_MAX);
    }
    if (answered < UNITS) throw new Error(`${answered} of ${UNITS} units were answered`);
    return answered;
  });
}

const query = (pipeline: Pipeline, unit: number): void =>
  pipeline.push(Step.query, unit % 2 === 0 ? owner : other, null);
const prepared = (pipeline: Pipeline, unit: number): void => {
  const of = unit % 2 === 0 ? owner : other;
  pipeline.push(Step.parse | PUT_IN, of, null);
  pipeline.push(Step.bind, of, null);
  pipeline.push(Step.describe, of, null);
  pipeline.push(Step.execute, of, null);
  pipeline.push(Step.sync, of, null);
};
const reset = (pipeline: Pipeline): void => pipeline.push(Step.query | SWALLOW, other, null);

console.log(runtimeLabel());
for (const depth of [1, 10]) {
  measure("a Query and its answer", query, queryAnswer, depth);
  measure("Parse (put in), Bind, Describe, Execute, Sync", prepared, preparedAnswer, depth);
  measure("a Query of our own, swallowed", reset, queryAnswer, depth);
}
