/**
 * The one error that reading or writing a message can end in.
 *
 * It carries no byte of the message: what was malformed may be a password. The caller knows who sent it and adds that.
 */

/** What was wrong. The values are stable: tests, logs and metrics may name them. */
export const ProtocolErrorCode = {
  /** A field goes on behind the end of its message. */
  Truncated: "message_truncated",
  /** A string has no terminating zero byte inside its message. */
  Unterminated: "string_unterminated",
  /** Bytes are left behind the last field. */
  TrailingBytes: "trailing_bytes",
  /** A number does not fit into its field, or a count or length makes no sense. */
  OutOfRange: "value_out_of_range",
  /** A text to be written holds a zero byte, which would end it early and let the rest be read as other fields. */
  TextHasNul: "text_has_nul",
  /** The writer was used in a wrong order: a field outside a message, a message inside a message. */
  Misuse: "writer_misuse",
} as const;
export type ProtocolErrorCode = (typeof ProtocolErrorCode)[keyof typeof ProtocolErrorCode];

const SENTENCES: Record<ProtocolErrorCode, string> = {
  message_truncated: "a field goes on behind the end of its message",
  string_unterminated: "a string is not terminated inside its message",
  trailing_bytes: "bytes are left behind the last field of a message",
  value_out_of_range: "a value does not fit into its field",
  text_has_nul: "a text holds a zero byte",
  writer_misuse: "messages are written one after the other, fields inside them",
};

export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
  readonly code: ProtocolErrorCode;

  constructor(code: ProtocolErrorCode) {
    super(SENTENCES[code]);
    this.code = code;
  }
}
