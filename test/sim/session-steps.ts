/**
 * The words between a scripted session and whoever drives it: what the coroutine asks for, and how it fails.
 */
import type { Buffer } from "node:buffer";
import { message } from "./wire.ts";
import type { Message } from "./wire.ts";

/** The coroutine wants the next message. */
export const READ = Symbol("read");
/** What was given out so far goes to the network. */
export const FLUSH = Symbol("flush");

/** A message to send, a rest in milliseconds (answered with true when a cancel fell into it), or one of the two above. */
export type Step = Buffer | number | typeof READ | typeof FLUSH;
export type StepAnswer = Message | boolean | undefined;
export type Steps = Generator<Step, void, StepAnswer>;

/** Thrown inside the coroutine by whatever fails, as ereport(ERROR) does. */
export class SessionError extends Error {
  readonly code: string;

  constructor(code: string, text: string) {
    super(text);
    this.code = code;
  }
}

export function tag(text: string): Buffer {
  return message("C", text);
}

export function cancelled(identity: string | null): SessionError {
  return new SessionError("57014", `canceling statement due to user request ${identity ?? ""}`);
}
