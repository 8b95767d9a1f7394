/**
 * A recorded conversation as text: one line a message, in the order in which the client saw them.
 *
 *     > P "\u0000select 1\u0000\u0000\u0000"        sent: type byte, and what follows the length
 *     < 1 ""                                         received
 *
 * Bytes are characters of the same number, in JSON's notation.
 */
import { message } from "../../support/wire-client.ts";

export interface TraceLine {
  readonly sent: boolean;
  readonly type: string;
  /** The whole message. */
  readonly bytes: Uint8Array;
}

export function printTrace(lines: readonly TraceLine[]): string {
  return lines.map(({ sent, type, bytes }) => `${sent ? ">" : "<"} ${type} ${text(bytes)}\n`).join("");
}

export function readTrace(file: string): TraceLine[] {
  return file
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const type = line.charAt(2);
      const body = Buffer.from(JSON.parse(line.slice(4)) as string, "latin1");
      return { sent: line.startsWith(">"), type, bytes: message(type, body) };
    });
}

export function fileNameOf(script: string): string {
  return `${script.replaceAll(/[^a-z]+/g, "-")}.txt`;
}

function text(bytes: Uint8Array): string {
  return JSON.stringify(Buffer.from(bytes.subarray(5)).toString("latin1"));
}
