/**
 * Which backend messages may answer which step, and what each does to it: the table behind `Pipeline.receive`. Whatever
 * is not in it is no answer that PostgreSQL gives, and the server that gave it is not understood any further.
 *
 * Source: PostgreSQL documentation, "Message Flow".
 */
import { Backend } from "../protocol/message-type.ts";
import { Step } from "./step.ts";

export const Effect = {
  forbidden: 0,
  /** Part of an answer. */
  passes: 1,
  /** The step is answered. */
  answers: 2,
  /** A statement of a Query, or a FunctionCall, is answered; ReadyForQuery comes later. */
  concludes: 3,
  /** CommandComplete of a Query or an Execute. */
  completes: 4,
  /** The server takes COPY data from now on. */
  beginsCopy: 5,
  /** The Parse of a unit is answered. */
  parsed: 6,
  ready: 7,
  error: 8,
  /** Notices and notifications: not asked for. */
  heard: 9,
  parameterStatus: 10,
} as const;

/** Kinds are numbered from 1; 0 stands for an empty pipeline. */
const NOTHING = 0;
const TYPES = 0x80;

type Row = readonly [kinds: readonly number[], types: readonly Backend[], effect: number];

const ANY = [NOTHING, ...Object.values(Step)];

const ROWS: readonly Row[] = [
  [[Step.parse], [Backend.ParseComplete], Effect.answers],
  [[Step.bind], [Backend.BindComplete], Effect.answers],
  [[Step.describe], [Backend.ParameterDescription], Effect.passes],
  [[Step.describe], [Backend.RowDescription, Backend.NoData], Effect.answers],
  [[Step.close], [Backend.CloseComplete], Effect.answers],
  [[Step.execute], [Backend.EmptyQueryResponse, Backend.PortalSuspended], Effect.answers],
  [[Step.query], [Backend.RowDescription], Effect.passes],
  [[Step.query], [Backend.EmptyQueryResponse], Effect.concludes],
  [[Step.functionCall], [Backend.FunctionCallResponse], Effect.concludes],
  [
    [Step.execute, Step.query],
    [Backend.DataRow, Backend.CopyOutResponse, Backend.CopyData, Backend.CopyDone],
    Effect.passes,
  ],
  [[Step.execute, Step.query], [Backend.CopyInResponse, Backend.CopyBothResponse], Effect.beginsCopy],
  [[Step.execute, Step.query, Step.unit], [Backend.CommandComplete], Effect.completes],
  [[Step.unit], [Backend.ParseComplete], Effect.parsed],
  [
    [Step.unit],
    [
      Backend.BindComplete,
      Backend.ParameterDescription,
      Backend.RowDescription,
      Backend.NoData,
      Backend.DataRow,
      Backend.EmptyQueryResponse,
    ],
    Effect.passes,
  ],
  [[Step.sync, Step.query, Step.functionCall, Step.unit], [Backend.ReadyForQuery], Effect.ready],
  [ANY, [Backend.ErrorResponse], Effect.error],
  [ANY, [Backend.NoticeResponse, Backend.NotificationResponse], Effect.heard],
  [ANY, [Backend.ParameterStatus], Effect.parameterStatus],
];

const EFFECTS = effects();

function effects(): Readonly<Uint8Array> {
  const table = new Uint8Array(ANY.length * TYPES);
  for (const [kinds, types, effect] of ROWS) {
    for (const kind of kinds) for (const type of types) table[kind * TYPES + type] = effect;
  }
  return table;
}

/** What a message of this type does to a step of this kind, 0 for none outstanding. */
export function effectOf(kind: number, type: number): number {
  return type < TYPES ? (EFFECTS[kind * TYPES + type] as number) : Effect.forbidden;
}
