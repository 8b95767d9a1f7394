/**
 * Walks over answers that an owner of steps is given: whole messages and pieces of long ones, one after the other.
 */
import { Backend } from "../protocol/message-type.ts";

export class AnswerPieces {
  /** Of the message that the last piece belongs to. */
  type = 0;
  /** How much of that message is still to come. */
  #restBytes = 0;

  /** Where the piece that begins at `at`, before `end`, ends. */
  behind(memory: Uint8Array, at: number, end: number): number {
    if (this.#restBytes === 0) {
      this.type = memory[at] as number;
      this.#restBytes = messageBytes(memory, at);
    }
    const next = Math.min(end, at + this.#restBytes);
    this.#restBytes -= next - at;
    return next;
  }

  /** The message was not asked for by anybody: a notice, a notification, a parameter's value. */
  get isUnasked(): boolean {
    const { type } = this;
    return type === Backend.NoticeResponse || type === Backend.NotificationResponse || type === Backend.ParameterStatus;
  }
}

/** How long the message at `at` is, its type byte included, as its header says. */
export function messageBytes(memory: Uint8Array, at: number): number {
  return 1 + new DataView(memory.buffer, memory.byteOffset + at + 1, 4).getInt32(0);
}
