/**
 * Inputs for a target: random bytes, and its good examples after a few accidents.
 *
 * Accidents know what protocols are sensitive to: lengths (two, four bytes, at their limits), zero bytes, a piece doubled
 * or cut out or moved, the middle of one example going on as another, words that mean something.
 */
import * as fc from "fast-check";
import { INPUT_BYTES_MAX } from "./fuzz-target.ts";
import type { FuzzTarget } from "./fuzz-target.ts";

interface Accident {
  readonly kind: "byte" | "length" | "cut" | "drop" | "double" | "insert" | "word" | "repeat" | "splice";
  /** Places, as shares of the length. */
  readonly at: number;
  readonly to: number;
  readonly value: number;
  readonly bytes: Uint8Array;
}

const LENGTHS = [
  0, 1, 3, 4, 5, 7, 8, 0x7f, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff, -1, -2, -2147483648,
];

const place = fc.double({ min: 0, max: 1, noNaN: true });

const accident: fc.Arbitrary<Accident> = fc.record({
  kind: fc.constantFrom("byte", "length", "cut", "drop", "double", "insert", "word", "repeat", "splice"),
  at: place,
  to: place,
  value: fc.nat(),
  bytes: fc.uint8Array({ maxLength: 24 }),
});

export function inputsOf(target: FuzzTarget): fc.Arbitrary<Uint8Array> {
  const example = fc.constantFrom(...target.seeds);
  const mutated = fc
    .tuple(example, fc.array(accident, { minLength: 1, maxLength: 6 }))
    .map(([seed, accidents]) => accidents.reduce((bytes, one) => happen(bytes, one, target), seed));
  return fc.oneof({ weight: 1, arbitrary: fc.uint8Array({ maxLength: 120 }) }, { weight: 12, arbitrary: mutated });
}

function happen(bytes: Uint8Array, { kind, at, to, value, bytes: own }: Accident, target: FuzzTarget): Uint8Array {
  const from = Math.floor(at * bytes.length);
  const until = from + Math.floor(to * (bytes.length - from));
  const put = (middle: Uint8Array, behind = from): Uint8Array =>
    join(bytes.subarray(0, from), middle, bytes.subarray(behind));
  switch (kind) {
    case "byte":
      return put(Uint8Array.of(value & 0xff), Math.min(from + 1, bytes.length));
    case "length": {
      const number = LENGTHS[value % LENGTHS.length] as number;
      const wide = (value >> 5) % 4 !== 0;
      const written = Buffer.alloc(wide ? 4 : 2);
      if (wide) written.writeInt32BE(number);
      else written.writeUInt16BE(number & 0xffff);
      return put(written, Math.min(from + written.length, bytes.length));
    }
    case "cut":
      return bytes.slice(0, from);
    case "drop":
      return put(new Uint8Array(0), until);
    case "double":
      return put(join(bytes.subarray(from, until), bytes.subarray(from, until)), until);
    case "insert":
      return put(own);
    case "word":
      return target.words.length === 0 ? bytes : put(target.words[value % target.words.length] as Uint8Array);
    case "repeat":
      return put(...repeated(bytes.subarray(from, Math.min(until, from + 2000)), (value % 400) + 2, until));
    case "splice": {
      const other = target.seeds[value % target.seeds.length] as Uint8Array;
      return put(other.subarray(Math.floor(to * other.length)), bytes.length);
    }
  }
}

function repeated(piece: Uint8Array, times: number, behind: number): [Uint8Array, number] {
  const fits = piece.length === 0 ? 0 : Math.min(times, Math.floor(INPUT_BYTES_MAX / 4 / piece.length) + 1);
  return [join(...Array.from({ length: fits }, () => piece)), behind];
}

function join(...parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(Buffer.concat(parts));
  return all.length > INPUT_BYTES_MAX ? all.subarray(0, INPUT_BYTES_MAX) : all;
}
