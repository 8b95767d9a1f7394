/** Ends of a pipeline that write down what they are told: owners of answers, and the server that it belongs to. */
import type { EntryOwner, PipelineHost, Undoable } from "../../../src/pipeline/pipeline.ts";

export class RecordingOwner implements EntryOwner {
  readonly name: string;
  readonly ends: string[] = [];
  // Views are kept as they were given, and looked at late: memory that is written again shows.
  readonly #slices: Uint8Array[] = [];

  constructor(name: string) {
    this.name = name;
  }

  answer(memory: Uint8Array, start: number, end: number): void {
    if (start >= end || end > memory.length) throw new Error(`no slice: [${start}, ${end}) of ${memory.length}`);
    this.#slices.push(memory.subarray(start, end));
  }

  ended(status: number): void {
    this.ends.push(String.fromCharCode(status));
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#slices);
  }
}

export class RecordingHost implements PipelineHost {
  /** How often the unnamed statement came to nothing. */
  unnamedLosses = 0;

  readonly readies: { owner: EntryOwner | null; status: string }[] = [];
  readonly failures: { owner: EntryOwner | null; bytes: Buffer }[] = [];
  readonly completions: { owner: EntryOwner | null; bytes: Buffer }[] = [];
  readonly parameters: Buffer[] = [];
  readonly strays: string[] = [];
  brokenReason: string | null = null;

  unnamedLost(): void {
    this.unnamedLosses += 1;
  }

  withholdsReady(_owner: EntryOwner | null): boolean {
    return false;
  }

  ready(owner: EntryOwner | null, status: number): void {
    this.readies.push({ owner, status: String.fromCharCode(status) });
    owner?.ended(status);
  }

  failed(owner: EntryOwner | null, memory: Uint8Array, at: number, size: number): void {
    this.failures.push({ owner, bytes: copyOf(memory, at, size) });
  }

  completed(owner: EntryOwner | null, memory: Uint8Array, at: number, size: number): void {
    this.completions.push({ owner, bytes: copyOf(memory, at, size) });
  }

  parameterStatus(memory: Uint8Array, at: number, size: number): void {
    this.parameters.push(copyOf(memory, at, size));
  }

  stray(type: number): void {
    this.strays.push(String.fromCharCode(type));
  }

  broken(reason: string): void {
    this.brokenReason ??= reason;
  }
}

/** Something remembered, which writes down that it was forgotten. */
export class RecordingUndo implements Undoable {
  readonly number: number;
  readonly #undone: number[];

  constructor(number: number, undone: number[]) {
    this.number = number;
    this.#undone = undone;
  }

  undo(): void {
    this.#undone.push(this.number);
  }
}

function copyOf(memory: Uint8Array, at: number, size: number): Buffer {
  return Buffer.from(memory.subarray(at, at + size));
}
