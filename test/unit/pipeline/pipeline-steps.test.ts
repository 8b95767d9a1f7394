/** Every kind of step against every backend message: what is allowed does what `step.ts` draws, the rest breaks. */
import { describe, expect, test } from "vitest";
import { HELD_ANSWER_BYTES, Pipeline } from "../../../src/pipeline/pipeline.ts";
import { PUT_IN, SWALLOW, Step, UNNAMED } from "../../../src/pipeline/step.ts";
import { Framer } from "../../../src/protocol/framer.ts";
import { Backend } from "../../../src/protocol/message-type.ts";
import { framed, types } from "./model-run.ts";
import { RecordingHost, RecordingOwner, RecordingUndo } from "./recorder.ts";

const MAX = 0x7fffffff;

/** Answers of each step, by hand from "Message Flow": those behind which it goes on, and those that are its last. */
const ANSWERS: Readonly<Record<string, { step: number; goOn: string; last: string }>> = {
  nothing: { step: 0, goOn: "", last: "" },
  parse: { step: Step.parse, goOn: "", last: "1" },
  bind: { step: Step.bind, goOn: "", last: "2" },
  describe: { step: Step.describe, goOn: "t", last: "Tn" },
  execute: { step: Step.execute, goOn: "DGWHdc", last: "CIs" },
  close: { step: Step.close, goOn: "", last: "3" },
  sync: { step: Step.sync, goOn: "", last: "Z" },
  query: { step: Step.query, goOn: "TDCIGWHdc", last: "Z" },
  functionCall: { step: Step.functionCall, goOn: "V", last: "Z" },
  unit: { step: Step.unit, goOn: "12tTnDCI", last: "Z" },
};
const UNASKED = "NAS";
const TERMINATORS = ["sync", "query", "functionCall", "unit"];

const ALL_TYPES = [
  ...new Set([
    ...Object.values(Backend).map((type) => String.fromCharCode(type)),
    "X",
    "\0",
    "\x7f",
    "\x80",
    "\xff",
    "\xc4",
  ]),
];

interface Bench {
  readonly host: RecordingHost;
  readonly pipeline: Pipeline;
  readonly owner: RecordingOwner;
  readonly undone: number[];
  readonly receive: (...bytes: Uint8Array[]) => void;
}

function bench(): Bench {
  const host = new RecordingHost();
  const pipeline = new Pipeline(host);
  const framer = new Framer();
  return {
    host,
    pipeline,
    owner: new RecordingOwner("owner"),
    undone: [],
    receive: (...parts) => {
      framer.push(Uint8Array.from(Buffer.concat(parts)));
      pipeline.receive(framer, MAX);
    },
  };
}

function bytesOf(type: string): Uint8Array {
  return framed(type, Buffer.from(type === "Z" ? "T" : "x\0"));
}

describe.each(Object.entries(ANSWERS))("%s", (name, { step, goOn, last }) => {
  test.each(ALL_TYPES.map((type) => [JSON.stringify(type), type]))("%s", (_shown, type) => {
    const { host, pipeline, owner, undone, receive } = bench();
    const answer = bytesOf(type);
    pipeline.linked = owner;
    if (step !== 0) pipeline.push(step, owner, new RecordingUndo(1, undone));
    receive(answer);
    const allowed = goOn.includes(type) || last.includes(type) || UNASKED.includes(type) || type === "E";
    expect(host.brokenReason === null).toBe(allowed);
    expect(owner.bytes.equals(allowed ? answer : Buffer.alloc(0))).toBe(true);
    if (!allowed) return;
    const ends = last.includes(type) || (type === "E" && step !== 0 && !TERMINATORS.includes(name));
    expect(pipeline.length).toBe(step === 0 || ends ? 0 : 1);
    expect(host.readies).toEqual(type === "Z" ? [{ owner, status: "T" }] : []);
    expect(host.failures).toEqual(type === "E" ? [{ owner, bytes: answer }] : []);
    expect(host.parameters).toEqual(type === "S" ? [answer] : []);
    expect(undone).toEqual(type === "E" && ends ? [1] : []);
    expect(pipeline.inCopy).toBe("GW".includes(type));
    expect(pipeline.isSkipping).toBe(type === "E" && ends);
    expect(host.strays).toEqual([]);
  });
});

test("what nobody asked for and nobody is there for is stray; an error tells the host that nobody owns it", () => {
  const { host, receive } = bench();
  receive(bytesOf("N"), bytesOf("A"), bytesOf("S"), bytesOf("E"));
  expect(host.strays).toEqual(["N", "A"]);
  expect(host.parameters).toHaveLength(1);
  expect(host.failures).toEqual([{ owner: null, bytes: bytesOf("E") }]);
  expect(host.brokenReason).toBe(null);
});

test("what came before a broken message is forwarded, and nothing behind it", () => {
  const { host, pipeline, owner, receive } = bench();
  pipeline.push(Step.query, owner, null);
  receive(bytesOf("T"), bytesOf("D"), bytesOf("1"), bytesOf("C"), bytesOf("Z"));
  expect(types(owner.bytes)).toBe("TD");
  expect(host.brokenReason).toMatch(/'1'/);
  expect(host.readies).toEqual([]);
});

test.each([0, 2])("a ReadyForQuery with %i bytes in place of its status is broken", (length) => {
  const { host, pipeline, owner, receive } = bench();
  pipeline.push(Step.sync, owner, null);
  receive(framed("Z", Buffer.alloc(length, "I")));
  expect(host.brokenReason).not.toBe(null);
  expect(host.readies).toEqual([]);
});

test("a header that cannot be is broken, behind what came before it", () => {
  const { host, pipeline, owner, receive } = bench();
  pipeline.push(Step.query, owner, null);
  receive(bytesOf("T"), Buffer.from([0x44, 0, 0, 0, 3]));
  expect(types(owner.bytes)).toBe("T");
  expect(host.brokenReason).toBe("bad packet header");
});

test("a ReadyForQuery in the middle of COPY FROM STDIN is broken", () => {
  const { host, pipeline, owner, receive } = bench();
  pipeline.push(Step.query, owner, null);
  receive(bytesOf("G"), bytesOf("Z"));
  expect(host.brokenReason).not.toBe(null);
});

describe("what is swallowed", () => {
  test.each([
    ["parse", Step.parse, "1"],
    ["close", Step.close, "3"],
    ["query", Step.query, "TDCZ"],
  ])("%s", (_name, step, answers) => {
    const { host, pipeline, owner, receive } = bench();
    pipeline.push(step | SWALLOW, owner, null);
    receive(...Array.from(answers, bytesOf));
    expect(owner.bytes).toHaveLength(0);
    expect(host.brokenReason).toBe(null);
    expect(pipeline.length).toBe(0);
  });

  test("never an error", () => {
    const { pipeline, owner, receive } = bench();
    pipeline.push(Step.parse | SWALLOW, owner, null);
    pipeline.push(Step.sync, owner, null);
    receive(bytesOf("E"), bytesOf("Z"));
    expect(types(owner.bytes)).toBe("EZ");
  });
});

describe("what is put in", () => {
  test("comes at once when nothing is outstanding, and leaves the unit open", () => {
    const { pipeline, owner } = bench();
    pipeline.push(Step.parse | PUT_IN, owner, null);
    pipeline.push(Step.close | PUT_IN, owner, null);
    expect(types(owner.bytes)).toBe("13");
    expect(pipeline.isEmpty).toBe(false);
    pipeline.push(Step.sync, owner, null);
    expect(pipeline.length).toBe(1);
  });

  test.each([
    ["RowDescription", Step.describe, "T"],
    ["CommandComplete", Step.execute, "C"],
  ])("comes behind a streamed %s and not into it", (_name, step, type) => {
    for (const pushedBefore of [true, false]) {
      const { pipeline, owner, receive } = bench();
      const long = framed(type, Buffer.alloc(2 * HELD_ANSWER_BYTES, "x"));
      pipeline.push(step, owner, null);
      if (pushedBefore) pipeline.push(Step.close | PUT_IN, owner, null);
      receive(long.subarray(0, 20_000));
      expect(pipeline.isMidAnswer).toBe(true);
      if (!pushedBefore) pipeline.push(Step.close | PUT_IN, owner, null);
      receive(long.subarray(20_000, 25_000));
      receive(long.subarray(25_000));
      expect(pipeline.isMidAnswer).toBe(false);
      expect(types(owner.bytes)).toBe(`${type}3`);
      expect(pipeline.length).toBe(0);
    }
  });
});

test("neighbouring messages for one owner are one slice", () => {
  const host = new RecordingHost();
  const pipeline = new Pipeline(host);
  const framer = new Framer();
  const slices: number[] = [];
  const owner = {
    answer: (_memory: Uint8Array, start: number, end: number) => void slices.push(end - start),
    ended: () => {},
  };
  for (const step of [Step.parse, Step.bind, Step.describe, Step.execute, Step.sync]) pipeline.push(step, owner, null);
  const bytes = Buffer.concat(Array.from("12TDDDCZ", bytesOf));
  framer.push(bytes);
  pipeline.receive(framer, MAX);
  expect(slices).toEqual([bytes.length]);
});

test("a short message that is cut waits to be whole, DataRow and long ones go on as they come", () => {
  const { pipeline, owner, receive } = bench();
  pipeline.push(Step.query, owner, null);
  const tag = bytesOf("C");
  receive(tag.subarray(0, 6));
  expect(owner.bytes).toHaveLength(0);
  receive(tag.subarray(6));
  expect(owner.bytes.equals(tag)).toBe(true);
  receive(bytesOf("D").subarray(0, 6));
  expect(owner.bytes).toHaveLength(tag.length + 6);
});

test("tags that begin with D are told to the host, before their step leaves", () => {
  const { host, pipeline, owner, receive } = bench();
  pipeline.push(Step.execute, owner, null);
  pipeline.push(Step.query, owner, null);
  const discard = framed("C", Buffer.from("DISCARD ALL\0"));
  receive(discard, discard, framed("C", Buffer.from("SELECT 1\0")));
  expect(host.completions).toEqual([
    { owner, bytes: discard },
    { owner, bytes: discard },
  ]);
});

test("what is skipped is undone last first", () => {
  const { pipeline, owner, undone, receive } = bench();
  [Step.bind, Step.parse, Step.close | PUT_IN, Step.query].forEach((step, number) =>
    pipeline.push(step, owner, new RecordingUndo(number, undone)),
  );
  pipeline.push(Step.sync, owner, null);
  pipeline.push(Step.parse, owner, new RecordingUndo(9, undone));
  receive(bytesOf("E"));
  expect(undone).toEqual([3, 2, 1, 0]);
  expect(pipeline.length).toBe(2);
});

test("what is sent after the error and before the Sync is undone at once", () => {
  const { pipeline, owner, undone, receive } = bench();
  pipeline.push(Step.parse, owner, null);
  receive(bytesOf("E"));
  pipeline.push(Step.bind, owner, new RecordingUndo(1, undone));
  pipeline.push(Step.parse | PUT_IN, owner, new RecordingUndo(2, undone));
  expect(undone).toEqual([1, 2]);
  expect(types(owner.bytes)).toBe("E");
  expect(pipeline.isEmpty).toBe(false);
  pipeline.push(Step.sync, owner, null);
  receive(bytesOf("Z"));
  expect(pipeline.isEmpty).toBe(true);
});

describe("a COPY that fails with a Sync in it", () => {
  test("the server is not used again while a ReadyForQuery more may come; the next answer shows that none does", () => {
    const { host, pipeline, owner, receive } = bench();
    pipeline.push(Step.execute, owner, null);
    pipeline.push(Step.sync, owner, null);
    receive(bytesOf("G"));
    pipeline.push(Step.copyEnd, owner, null);
    pipeline.push(Step.sync, owner, null);
    receive(bytesOf("E"), bytesOf("Z"));
    expect(host.strays).toEqual(["Z"]);
    receive(bytesOf("Z"));
    expect(host.readies).toHaveLength(2);
    expect(types(owner.bytes)).toBe("GEZZ");
    // Only as many as there were Syncs.
    receive(bytesOf("Z"));
    expect(host.brokenReason).not.toBe(null);
  });

  test("an answer to a later message ends the doubt", () => {
    const { host, pipeline, owner, receive } = bench();
    pipeline.push(Step.query, owner, null);
    pipeline.push(Step.sync, owner, null);
    receive(bytesOf("G"), bytesOf("E"), bytesOf("Z"));
    pipeline.push(Step.query, owner, null);
    receive(bytesOf("C"), bytesOf("Z"));
    expect(pipeline.isEmpty).toBe(true);
    receive(bytesOf("Z"));
    expect(host.brokenReason).not.toBe(null);
  });
});

test("a Sync that a COPY takes does not end the unit", () => {
  const { pipeline, owner, receive } = bench();
  pipeline.push(Step.execute, owner, null);
  pipeline.push(Step.sync, owner, null);
  receive(bytesOf("G"));
  pipeline.push(Step.copyEnd, owner, null);
  receive(bytesOf("C"));
  expect(pipeline.length).toBe(0);
  expect(pipeline.isEmpty).toBe(false);
});

test("nothing is told after close, nor by a host that closes while it is told", () => {
  const { host, pipeline, owner, receive } = bench();
  const closing = new Pipeline({
    ...Object.fromEntries(
      ["completed", "parameterStatus", "stray", "broken", "failed", "withholdsReady"].map((name) => [name, () => {}]),
    ),
    ready: () => closing.close(),
  } as unknown as RecordingHost);
  for (let i = 0; i < 2; i++) closing.push(Step.query, owner, null);
  const framer = new Framer();
  framer.push(Buffer.concat([bytesOf("C"), bytesOf("Z"), bytesOf("C"), bytesOf("Z")]));
  closing.receive(framer, MAX);
  expect(types(owner.bytes)).toBe("CZ");
  pipeline.close();
  pipeline.push(Step.parse | PUT_IN, owner, null);
  expect(types(owner.bytes)).toBe("CZ");
  expect(pipeline.length).toBe(0);
  expect(host.readies).toEqual([]);
  void receive;
});

test("ReadyForQuery in a transaction is withheld where the host says so, and only that", () => {
  const { host, pipeline, owner, receive } = bench();
  host.withholdsReady = (asker) => asker === owner;
  pipeline.push(Step.query, owner, null);
  receive(bytesOf("C"), Uint8Array.of(0x5a, 0, 0, 0, 5, 0x54));
  expect(types(owner.bytes)).toBe("C");
  expect(host.readies).toEqual([{ owner, status: "T" }]);
  pipeline.push(Step.query, owner, null);
  receive(bytesOf("C"), Uint8Array.of(0x5a, 0, 0, 0, 5, 0x49));
  expect(types(owner.bytes)).toBe("CCZ");
});

test("what a name means is undecided from the Sync on until what was to change it has been answered", () => {
  const { pipeline, owner, receive } = bench();
  const nothing = { undo: () => {} };
  pipeline.push(Step.parse, owner, nothing);
  pipeline.push(Step.bind, owner, null);
  expect(pipeline.isUndecided).toBe(false);
  pipeline.push(Step.sync, owner, null);
  expect(pipeline.isUndecided).toBe(true);
  pipeline.push(Step.parse | SWALLOW, owner, nothing);
  receive(bytesOf("1"));
  expect(pipeline.isUndecided).toBe(false);
  receive(bytesOf("2"), bytesOf("Z"));
  pipeline.push(Step.sync, owner, null);
  expect(pipeline.isUndecided).toBe(true);
  receive(bytesOf("E"));
  expect(pipeline.isUndecided).toBe(false);
});

test("a queue of any length keeps its order", () => {
  const { host, pipeline, receive } = bench();
  const owners = Array.from({ length: 1000 }, (_, number) => new RecordingOwner(`${number}`));
  let answered = 0;
  for (const [number, owner] of owners.entries()) {
    pipeline.push(Step.query, owner, null);
    // The head of the ring wanders while it grows.
    if (number % 3 === 0) {
      receive(framed("C", Buffer.from(`${answered++}\0`)), bytesOf("Z"));
    }
  }
  for (; answered < owners.length;) receive(framed("C", Buffer.from(`${answered++}\0`)), bytesOf("Z"));
  expect(owners.every((owner, number) => owner.bytes.subarray(5).toString().startsWith(`${number}\0`))).toBe(true);
  expect(host.readies.map(({ owner }) => (owner as RecordingOwner).name)).toEqual(owners.map(({ name }) => name));
  expect(pipeline.isEmpty).toBe(true);
});

describe("the unnamed statement", () => {
  const UNNAMED_PARSE = Step.parse | UNNAMED;

  test("is lost when its Parse fails, when it is skipped, and when it is sent to a server that skips", () => {
    const { host, pipeline, owner, receive } = bench();
    for (const step of [UNNAMED_PARSE, Step.sync]) pipeline.push(step, owner, null);
    receive(bytesOf("E"), framed("Z", Buffer.from("I")));
    expect(host.unnamedLosses).toBe(1);
    for (const step of [Step.parse, UNNAMED_PARSE]) pipeline.push(step, owner, null);
    receive(bytesOf("E"));
    expect(host.unnamedLosses).toBe(2);
    pipeline.push(UNNAMED_PARSE, owner, null);
    expect(host.unnamedLosses).toBe(3);
  });

  test("of a unit is lost when its Parse fails, not behind that, nor when a later unit brings another", () => {
    const { host, pipeline, owner, receive } = bench();
    const unit = Step.unit | UNNAMED;
    pipeline.push(unit, owner, null);
    receive(bytesOf("E"));
    expect([host.unnamedLosses, pipeline.length]).toEqual([1, 1]);
    receive(framed("Z", Buffer.from("I")));
    expect([host.unnamedLosses, pipeline.isEmpty]).toEqual([1, true]);
    pipeline.push(unit, owner, null);
    receive(bytesOf("1"), bytesOf("2"), bytesOf("E"), framed("Z", Buffer.from("I")));
    pipeline.push(unit, owner, null);
    pipeline.push(unit, owner, null);
    receive(bytesOf("E"), framed("Z", Buffer.from("I")));
    expect(host.unnamedLosses).toBe(1);
    receive(bytesOf("E"), framed("Z", Buffer.from("I")));
    expect([host.unnamedLosses, pipeline.isEmpty, host.brokenReason]).toEqual([2, true, null]);
  });

  test("is not lost by an error before it or behind it, nor by one when a later unit brings another", () => {
    const { host, pipeline, owner, receive } = bench();
    for (const step of [Step.query, UNNAMED_PARSE, Step.bind, Step.sync]) pipeline.push(step, owner, null);
    receive(bytesOf("E"), framed("Z", Buffer.from("I")), framed("1", Buffer.alloc(0)), bytesOf("E"));
    expect(host.unnamedLosses).toBe(0);
    receive(framed("Z", Buffer.from("I")));
    for (const step of [UNNAMED_PARSE, Step.sync, UNNAMED_PARSE]) pipeline.push(step, owner, null);
    receive(bytesOf("E"));
    expect(host.unnamedLosses).toBe(0);
  });
});
