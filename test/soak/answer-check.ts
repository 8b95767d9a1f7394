/** Compares one answer of the soak, every part of it, with what its asker must get. Throws `WrongAnswer`. */
import type { Answer } from "./soak-connection.ts";
import { WrongAnswer } from "./wrong-answer.ts";

export interface ExpectedAnswer {
  readonly rows?: readonly (readonly (string | null)[])[];
  readonly tags?: readonly string[];
  /** Default `I`. */
  readonly status?: "I" | "T" | "E";
  /** What the messages of all notices must be; default: nobody looks. */
  readonly notices?: readonly string[];
}

export interface ExpectedError {
  readonly sqlstate: string;
  /** Part of the error's message. */
  readonly text?: string;
  /** Default `I`. */
  readonly status?: "I" | "E";
}

/** The answer has no error and is exactly this. */
export function checkAnswer(what: string, answer: Answer, expected: ExpectedAnswer): void {
  if (answer.errors.length > 0) throw new WrongAnswer(what, expected, answer.errors);
  if (expected.rows !== undefined) checkSame(`${what}, rows`, expected.rows, answer.rows);
  if (expected.tags !== undefined) checkSame(`${what}, tags`, expected.tags, answer.tags);
  if (expected.notices !== undefined) checkSame(`${what}, notices`, expected.notices, answer.notices);
  checkSame(`${what}, status`, expected.status ?? "I", answer.status);
}

/** The answer ends with this error, and there is one only. */
export function checkError(what: string, answer: Answer, expected: ExpectedError): void {
  const [error, ...more] = answer.errors;
  if (error === undefined || more.length > 0) throw new WrongAnswer(what, expected, answer);
  checkSame(`${what}, SQLSTATE`, expected.sqlstate, `${error["C"]}`);
  if (expected.text !== undefined && !error["M"]?.includes(expected.text)) {
    throw new WrongAnswer(`${what}, message`, expected.text, error["M"]);
  }
  checkSame(`${what}, status`, expected.status ?? "I", answer.status);
}

/** Both print the same. */
export function checkSame(what: string, expected: unknown, got: unknown): void {
  if (JSON.stringify(expected) !== JSON.stringify(got)) throw new WrongAnswer(what, expected, got);
}
