/**
 * Runs a script through the model and through a pipeline, and compares: what each owner gets byte for byte, what is
 * undone and in which order, when the pipeline is empty.
 *
 * PostgreSQL answers in order and never before it was asked; apart from that sending and receiving may interleave in any
 * way, and answers come cut at any place. A `schedule` says how.
 */
import { expect } from "vitest";
import type { Pipeline, PipelineHost } from "../../../src/pipeline/pipeline.ts";
import { PUT_IN, Step, SWALLOW } from "../../../src/pipeline/step.ts";
import { Framer } from "../../../src/protocol/framer.ts";
import type { ModelKind, ModelMessage } from "./model-message.ts";
import { RecordingHost, RecordingOwner, RecordingUndo } from "./recorder.ts";
import { type ModelAnswer, type ModelState, ServerModel } from "./server-model.ts";

export interface ScriptedMessage {
  readonly model: ModelMessage;
  /** Number of the owner, −1 for nobody. */
  readonly owner: number;
  readonly treatment?: "swallow" | "putIn";
  /** Letters of notices and the like that come before its first answer. */
  readonly before?: string;
  /** The client sends it when it has seen all answers to what it sent before. */
  readonly waits?: boolean;
}

/** Numbers that are read in a circle: 0 sends a message, any other is how many bytes are received next. */
export type Schedule = readonly number[];

export type PipelineClass = new (host: PipelineHost) => Pipeline;

export const STEP_OF: Readonly<Record<ModelKind, number>> = {
  parse: Step.parse,
  bind: Step.bind,
  describe: Step.describe,
  execute: Step.execute,
  close: Step.close,
  sync: Step.sync,
  query: Step.query,
  functionCall: Step.functionCall,
  copyDone: Step.copyEnd,
  copyFail: Step.copyEnd,
  copyData: 0,
  flush: 0,
};

const REMEMBERED: readonly ModelKind[] = ["parse", "bind", "describe", "execute", "close"];

/** What the model says of one message. */
interface Expected {
  /** All bytes that the server sends in answer to what was sent up to here. */
  readonly streamEnd: number;
  readonly betweenUnits: boolean;
  readonly state: ModelState;
}

interface Expectation {
  readonly stream: Uint8Array;
  readonly perMessage: readonly Expected[];
  readonly bytesOf: ReadonlyMap<number, Buffer>;
  readonly undone: ReadonlySet<number>;
  readonly readies: readonly number[];
}

/** Content of the answers: told apart by their number, of lengths on both sides of what is held whole. */
export function answerBytes({ type, to, tag }: ModelAnswer, serial: number): Buffer {
  if (type === "Z") return framed(type, Buffer.from("I"));
  if (tag !== undefined) return framed(type, Buffer.from(`${tag}\0`));
  const name = `${type}${to}.${serial}\0`;
  const long = "TDdE".includes(type) && serial % 4 === 3;
  return "123nsIc".includes(type)
    ? framed(type, Buffer.alloc(0))
    : framed(type, Buffer.from(long ? name.padEnd(20_000, "x") : name));
}

export function framed(type: string, body: Uint8Array): Buffer {
  const bytes = Buffer.alloc(5 + body.length);
  bytes.write(type, 0, "latin1");
  bytes.writeInt32BE(4 + body.length, 1);
  bytes.set(body, 5);
  return bytes;
}

export function expectationOf(script: readonly ScriptedMessage[]): Expectation {
  const model = new ServerModel();
  const stream: Buffer[] = [];
  const shares = new Map<number, Buffer[]>();
  const perMessage: Expected[] = [];
  const readies: number[] = [];
  let streamEnd = 0;
  let serial = 0;
  const give = (number: number, bytes: Buffer, always: boolean): void => {
    const { owner, treatment } = script[number] as ScriptedMessage;
    if (owner < 0 || (treatment === "swallow" && !always)) return;
    shares.set(owner, [...(shares.get(owner) ?? []), bytes]);
  };
  for (const [number, { model: message, treatment, before }] of script.entries()) {
    const answers = model.take(number, message);
    for (const [index, answer] of answers.entries()) {
      const to = answer.to;
      const bytes = answerBytes(answer, serial++);
      if (treatment === "putIn") {
        give(to, framed(answer.type, Buffer.alloc(0)), true);
        continue;
      }
      const noise =
        index === 0 ? Array.from(before ?? "", (letter) => framed(letter, Buffer.from(`${serial++}\0x\0`))) : [];
      for (const heard of noise) give(to, heard, false);
      give(to, bytes, answer.type === "E");
      stream.push(...noise, bytes);
      if (answer.type === "Z") readies.push((script[to] as ScriptedMessage).owner);
    }
    streamEnd = stream.reduce((sum, bytes) => sum + bytes.length, 0);
    perMessage.push({ streamEnd, betweenUnits: model.betweenUnits, state: model.state });
  }
  const bytesOf = new Map([...shares].map(([owner, parts]) => [owner, Buffer.concat(parts)]));
  return { stream: Buffer.concat(stream), perMessage, bytesOf, undone: model.undone, readies };
}

/** Throws when the pipeline does not do what the model says. */
export function compareWithModel(made: PipelineClass, script: readonly ScriptedMessage[], schedule: Schedule): void {
  const expected = expectationOf(script);
  const host = new RecordingHost();
  const pipeline = new made(host);
  const framer = new Framer();
  const owners = new Map<number, RecordingOwner>();
  const undone: number[] = [];
  let pushed = 0;
  let received = 0;

  const push = (): void => {
    const { model, owner, treatment } = script[pushed] as ScriptedMessage;
    let recorder = owner < 0 ? null : owners.get(owner);
    if (recorder === undefined) owners.set(owner, (recorder = new RecordingOwner(`owner ${owner}`)));
    const step = STEP_OF[model.kind];
    const flags = treatment === "swallow" ? SWALLOW : treatment === "putIn" ? PUT_IN : 0;
    const ref = REMEMBERED.includes(model.kind) ? new RecordingUndo(pushed, undone) : null;
    if (step !== 0) pipeline.push(step | flags, recorder, ref);
    pushed++;
  };
  const available = (): number =>
    (pushed === 0 ? 0 : (expected.perMessage[pushed - 1] as Expected).streamEnd) - received;
  const receive = (bytes: number): void => {
    const end = received + Math.min(bytes, available());
    framer.push(expected.stream.slice(received, end));
    received = end;
    pipeline.receive(framer, 0x7fffffff);
  };

  for (let i = 0; pushed < script.length || available() > 0; i++) {
    const next = schedule[i % schedule.length] as number;
    const mayPush = pushed < script.length && (script[pushed]?.waits !== true || available() === 0);
    if (mayPush && (next === 0 || available() === 0)) push();
    // Crumbs of a long message would only take time.
    else receive(next === 0 ? available() : available() > 1000 && i % 64 > 16 ? next + 7000 : next);
    if (host.brokenReason !== null) throw new Error(`broken at ${i}: ${host.brokenReason}`);
    if (pushed === 0) continue;
    const { betweenUnits, state } = expected.perMessage[pushed - 1] as Expected;
    const shouldBeEmpty = betweenUnits && available() === 0;
    if (pipeline.isEmpty !== shouldBeEmpty && !inDoubt(host)) throw new Error(`isEmpty is ${pipeline.isEmpty} at ${i}`);
    if (shouldBeEmpty && pipeline.isUndecided) throw new Error(`undecided at ${i}, although all has been answered`);
    if (available() === 0 && pipeline.inCopy !== (state === "copying"))
      throw new Error(`inCopy is ${pipeline.inCopy} at ${i}`);
  }
  for (const [number, owner] of owners) {
    if (number < 0) continue;
    expect(types(owner.bytes)).toBe(types(expected.bytesOf.get(number) ?? Buffer.alloc(0)));
    expect(owner.bytes.equals(expected.bytesOf.get(number) ?? Buffer.alloc(0))).toBe(true);
  }
  expect(
    host.readies.map(({ owner }) => (owner === null ? -1 : Number((owner as RecordingOwner).name.slice(6)))),
  ).toEqual(expected.readies);
  expect([...undone].sort((a, b) => a - b)).toEqual(
    [...expected.undone]
      .filter((number) => REMEMBERED.includes((script[number] as ScriptedMessage).model.kind))
      .sort((a, b) => a - b),
  );
  const copying = expected.perMessage.at(-1)?.state === "copying";
  if (!copying) expect(pipeline.length).toBe(0);
}

/** Only PostgreSQL knows how many ReadyForQuery are still to come: the server was told not to be used again. */
function inDoubt(host: RecordingHost): boolean {
  return host.strays.includes("Z");
}

/** The types of whole messages. */
export function types(bytes: Uint8Array): string {
  let text = "";
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 0; at < view.length; at += 1 + view.readInt32BE(at + 1))
    text += String.fromCharCode(view[at] as number);
  return text;
}
