/**
 * One message from a server or pooler as lines of text, complete enough that equal lines mean equal messages. What two
 * programs cannot have in common (salts, keys, signatures) is left out; what differs between two runs of one program is
 * the business of `transcript-words.ts`.
 *
 * Protocol: "Message Formats" in PostgreSQL's documentation.
 */
import { columns, errorFields, type WireMessage } from "../../support/wire-client.ts";

export interface ColumnHead {
  readonly name: string;
  readonly type: number;
}

/** `heads`: the columns of the result that a DataRow belongs to. `cell`: what is shown of a value. */
export type CellText = (column: string, value: string | null) => string;

export function columnHeads(body: Buffer): ColumnHead[] {
  const heads: ColumnHead[] = [];
  let at = 2;
  for (let left = body.readInt16BE(0); left > 0; left -= 1) {
    const end = body.indexOf(0, at);
    heads.push({ name: body.toString("utf8", at, end), type: body.readInt32BE(end + 7) });
    at = end + 19;
  }
  return heads;
}

export function renderMessage({ type, body }: WireMessage, heads: readonly ColumnHead[], cell: CellText): string[] {
  switch (type) {
    case "R":
      return [`R ${authentication(body)}`];
    case "S":
      return [`S ${body.toString("utf8").split("\0").slice(0, 2).join("=")}`];
    case "K":
      return [`K ${body.length} bytes`];
    case "Z":
      return [`Z ${body.toString("latin1")}`];
    case "C":
      return [`C ${text(body)}`];
    case "E":
    case "N":
      return errorLines(type, body);
    case "T":
      return [`T ${columnTexts(body).join(" ")}`];
    case "D": {
      const values = columns(body);
      return [`D ${values.map((value, at) => cell(heads[at]?.name ?? "", value)).join(" ")}`];
    }
    case "t": {
      const types = Array.from({ length: body.readInt16BE(0) }, (_, at) => body.readInt32BE(2 + 4 * at));
      return [`t ${types.join(" ")}`.trimEnd()];
    }
    case "v": {
      const names = body.toString("utf8", 8).split("\0").slice(0, -1);
      return [`v ${body.readInt32BE(0)} ${names.join(" ")}`.trimEnd()];
    }
    case "A":
      return [`A ${body.toString("utf8", 4).split("\0").slice(0, 2).join(" ")}`];
    default:
      // Copy data, and messages whose type says all.
      return [`${type} ${JSON.stringify(body.toString("latin1"))}`.replace(/ ""$/, "")];
  }
}

/** The first line says severity, SQLSTATE and message; every other field has a line of its own. */
function errorLines(type: string, body: Buffer): string[] {
  const { S, C, M, ...more } = errorFields(body);
  // Where PostgreSQL's source raised it tells nothing here.
  const rest = Object.entries(more).filter(([field]) => !"FLR".includes(field));
  return [`${type} ${S} ${C} ${M}`, ...rest.map(([field, value]) => `${type}  ${field}=${JSON.stringify(value)}`)];
}

function authentication(body: Buffer): string {
  const code = body.readInt32BE(0);
  switch (code) {
    case 0:
      return "ok";
    case 3:
      return "cleartext";
    case 5:
      return `md5 salt=${body.length - 4}`;
    case 10:
      return `sasl ${body.toString("latin1", 4).split("\0").filter(Boolean).join(" ")}`;
    case 11:
      return `sasl-continue i=${/i=(\d+)/.exec(body.toString("latin1"))?.[1] ?? "?"}`;
    case 12:
      return "sasl-final";
    default:
      return String(code);
  }
}

/** name:type, and table, attribute, size, modifier and format where they are not those of a computed text. */
function columnTexts(body: Buffer): string[] {
  const texts: string[] = [];
  let at = 2;
  for (let left = body.readInt16BE(0); left > 0; left -= 1) {
    const end = body.indexOf(0, at);
    const tail = body.subarray(end + 1, end + 19);
    const more = [tail.readInt16BE(4), tail.readInt16BE(10), tail.readInt32BE(12), tail.readInt16BE(16)];
    texts.push([body.toString("utf8", at, end), tail.readInt32BE(6), ...more].join(":"));
    at = end + 19;
  }
  return texts;
}

function text(body: Buffer): string {
  return body.toString("utf8").replace(/\0$/, "");
}
