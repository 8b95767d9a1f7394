/**
 * What is said to PostgreSQL for the traces: each message with its bytes, and what the model is told becomes of it.
 *
 * `record-traces.ts` says it to a real server and writes the answers to `traces/`; `pipeline-traces.test.ts` replays
 * them. A message with `after` is sent only when an answer of that type has come.
 */
import * as wire from "../../support/wire-client.ts";
import type { ModelMessage, ModelStatement } from "./model-message.ts";

export interface TraceMessage {
  readonly bytes: Uint8Array;
  readonly model: ModelMessage;
  readonly after?: string;
}

export interface TraceScript {
  readonly name: string;
  readonly messages: readonly TraceMessage[];
}

/** Run once on the empty database before the scripts. */
export const PREPARATION = `
  create table item (id int primary key, label text);
  create table link (id int references item deferrable initially deferred);
  create table guarded (id int);
  create function refuse() returns trigger language plpgsql as $$ begin raise 'refused'; end $$;
  create trigger refuse before insert on guarded for each statement execute function refuse();
  create table counted (id int unique deferrable initially deferred);
`;

/** Of `int4pl`, which FunctionCall calls. */
const INT4PL = 177;

const done = (rows = 0, tag?: string): ModelStatement =>
  tag === undefined ? { rows, end: "C" } : { rows, end: "C", tag };
const FAILS: ModelStatement = { rows: 0, end: "E" };
const COPY_IN: ModelStatement = { rows: 0, end: "in" };

const message = (bytes: Uint8Array, model: ModelMessage, after?: string): TraceMessage =>
  after === undefined ? { bytes, model } : { bytes, model, after };

const P = (sql: string, name = "", fails = false) => message(wire.parse(name, sql), { kind: "parse", fails });
const B = (values: readonly (string | null)[] = [], name = "", portal = "", fails = false) =>
  message(wire.bind(portal, name, values), { kind: "bind", fails });
const D = (answer: "T" | "n" | "E", portal = "") => message(wire.describePortal(portal), { kind: "describe", answer });
const DS = (answer: "tT" | "tn" | "E", name = "") =>
  message(wire.describeStatement(name), { kind: "describe", answer });
const E = (statement: ModelStatement, rowsMax = 0, portal = "") =>
  message(wire.execute(portal, rowsMax), { kind: "execute", statement });
const C = (name: string) => message(wire.closeStatement(name), { kind: "close" });
const S = (fails = false) => message(wire.sync(), { kind: "sync", fails });
const H = () => message(wire.flush(), { kind: "flush" });
const Q = (sql: string, ...statements: ModelStatement[]) => message(wire.query(sql), { kind: "query", statements });
const F = (...values: string[]) =>
  message(
    wire.message(
      "F",
      wire.int32(INT4PL),
      wire.int16(0),
      wire.int16(values.length),
      ...values.flatMap((value) => [wire.int32(value.length), Buffer.from(value)]),
      wire.int16(0),
    ),
    { kind: "functionCall", fails: values.includes("x") },
  );
const d = (line: string, bad = false) => message(wire.message("d", Buffer.from(line)), { kind: "copyData", bad });
const c = (fails = false) => message(wire.message("c"), { kind: "copyDone", fails });
const f = () => message(wire.message("f", "no more"), { kind: "copyFail" });
const after = (type: string, { bytes, model }: TraceMessage) => message(bytes, model, type);

const COPY = "copy item from stdin";

export const TRACE_SCRIPTS: readonly TraceScript[] = [
  { name: "simple query with rows", messages: [Q("select generate_series(1,3)", done(3))] },
  { name: "empty query", messages: [Q(""), Q(" ; ")] },
  {
    name: "several statements in a query",
    messages: [Q("select 1; ; set work_mem to default; select 2", done(1), done(), done(1)), Q("select 1", done(1))],
  },
  { name: "error among several statements", messages: [Q("select 1; select 1/0; select 2", done(1), FAILS)] },
  { name: "extended query", messages: [P("select $1::int"), B(["7"]), D("T"), E(done(1)), S()] },
  {
    name: "describe of statement and portal",
    messages: [
      P("select $1::int", "s1"),
      DS("tT", "s1"),
      B(["7"], "s1"),
      D("T"),
      E(done(1)),
      C("s1"),
      S(),
      P("set work_mem to default", "s2"),
      DS("tn", "s2"),
      B([], "s2"),
      D("n"),
      E(done()),
      C("s2"),
      S(),
    ],
  },
  { name: "describe of what is not there", messages: [DS("E", "nosuch"), S(), D("E", "nosuch"), S()] },
  { name: "empty extended query", messages: [P(""), B(), D("n"), E({ rows: 0, end: "I" }), S()] },
  {
    name: "portal suspended",
    messages: [
      P("select generate_series(1,5)"),
      B(),
      E({ rows: 2, end: "s" }, 2),
      E({ rows: 2, end: "s" }, 2),
      E(done(1), 2),
      S(),
    ],
  },
  { name: "close of unknown names", messages: [C("nosuch"), C(""), S()] },
  { name: "flush instead of sync", messages: [P("select 1"), H(), after("1", B()), E(done(1)), H(), after("C", S())] },
  {
    name: "close and sync while nothing is outstanding",
    messages: [C("nosuch"), H(), after("3", S()), after("Z", S())],
  },
  { name: "two syncs", messages: [S(), S(), P("select 1"), S(), S()] },
  {
    name: "failed parse, the rest skipped",
    messages: [P("selec", "", true), B(), D("T"), E(done()), C("x"), S(), Q("select 1", done(1))],
  },
  { name: "failed bind", messages: [P("select $1::int"), B(["x"], "", "", true), D("T"), E(done()), S()] },
  {
    name: "failed execute between good ones",
    messages: [
      P("select 1"),
      B(),
      E(done(1)),
      P("select 1/$1::int"),
      B(["0"], "", "", true),
      E(done()),
      P("select 3"),
      B(),
      E(done(1)),
      S(),
    ],
  },
  { name: "query without sync after a failed parse", messages: [P("selec", "", true), Q("select 1", done(1)), S()] },
  {
    name: "query and function call skipped, sync later",
    messages: [
      P("selec", "", true),
      Q("select 1", done(1)),
      F("1", "2"),
      Q("select 2", done(1)),
      after("E", S()),
      Q("select 3", done(1)),
    ],
  },
  { name: "flush and copy messages while skipping", messages: [P("selec", "", true), H(), d("x\n"), c(), f(), S()] },
  { name: "query without sync after a good parse", messages: [P("select 1"), Q("select 2", done(1)), S()] },
  {
    name: "pipelined units",
    messages: [
      P("select 1", "p1"),
      B([], "p1"),
      E(done(1)),
      S(),
      B([], "p1"),
      E(done(1)),
      S(),
      C("p1"),
      S(),
      B([], "p1", "", true),
      E(done()),
      S(),
      S(),
    ],
  },
  {
    name: "begin, error, commit",
    messages: [
      Q("begin", done()),
      Q("select 1/0", FAILS),
      Q("select 1", FAILS),
      P("select 1", "", true),
      B(),
      S(),
      Q("commit", done(0, "ROLLBACK")),
    ],
  },
  {
    name: "commit after an error in extended protocol",
    messages: [
      P("begin"),
      B(),
      E(done()),
      S(),
      P("select 1/0"),
      B([], "", "", true),
      E(done()),
      S(),
      P("commit"),
      B(),
      E(done(0, "ROLLBACK")),
      S(),
    ],
  },
  {
    name: "error of a deferred constraint at sync",
    messages: [P("insert into link values (1)"), B(), E(done()), S(true), Q("select 1", done(1))],
  },
  {
    name: "error of a deferred constraint at commit",
    messages: [
      Q("begin", done()),
      Q("insert into link values (1)", done()),
      Q("commit", FAILS),
      Q("select 1", done(1)),
    ],
  },
  { name: "function call", messages: [F("1", "2"), F("1", "x"), P("select 1"), F("3", "4"), S()] },
  { name: "copy out", messages: [Q("copy (select generate_series(1,3)) to stdout", { rows: 3, end: "out" })] },
  {
    name: "copy out, extended",
    messages: [P("copy (select generate_series(1,3)) to stdout"), B(), D("n"), E({ rows: 3, end: "out" }), S()],
  },
  {
    name: "copy out that fails on its way",
    messages: [
      Q("copy (select 1/(3-i) from generate_series(1,3) i) to stdout", { rows: 2, end: "outE" }),
      Q("select 1", done(1)),
    ],
  },
  {
    name: "execute that fails after some rows",
    messages: [
      P("select 1/(3-i) from generate_series(1,3) i"),
      B(),
      E({ rows: 2, end: "E" }),
      C("x"),
      S(),
      Q("select 1", done(1)),
    ],
  },
  {
    name: "copy in",
    messages: [
      Q(COPY, COPY_IN),
      after("G", d("1\ta\n")),
      d("2\tb\n"),
      c(),
      after("Z", Q("delete from item", done(0, "DELETE 2"))),
    ],
  },
  {
    name: "copy in, all at once",
    messages: [Q(COPY, COPY_IN), d("1\ta\n"), c(), Q("delete from item", done(0, "DELETE 1"))],
  },
  { name: "copy in, given up", messages: [Q(COPY, COPY_IN), d("1\ta\n"), f(), Q("select 1", done(1))] },
  {
    name: "copy in with flush and sync within",
    messages: [Q(COPY, COPY_IN), S(), d("1\ta\n"), H(), S(), c(), Q("delete from item", done(0, "DELETE 1"))],
  },
  {
    name: "copy in, error while data is still coming",
    messages: [
      Q(COPY, COPY_IN),
      after("G", d("x\ty\n", true)),
      after("E", d("2\tb\n")),
      d("3\tc\n"),
      c(),
      after("Z", Q("select 1", done(1))),
    ],
  },
  {
    name: "copy in, error in data sent blindly",
    messages: [Q(COPY, COPY_IN), d("x\ty\n", true), d("2\tb\n"), c(), Q("select 1", done(1))],
  },
  // A deferred constraint is looked at when the statement's transaction ends, before its CommandComplete.
  {
    name: "copy in, error when it is complete",
    messages: [Q("copy counted from stdin", COPY_IN), d("1\n"), d("1\n"), c(true), Q("delete from counted", done())],
  },
  {
    name: "copy in that fails before it reads",
    messages: [
      Q("copy guarded from stdin", { rows: 0, end: "inE" }),
      after("E", d("1\n")),
      c(),
      Q("select 1", done(1)),
    ],
  },
  {
    name: "copy in of a table that is not there, data sent blindly",
    messages: [Q("copy nosuch from stdin", FAILS), d("1\n"), c(), Q("select 1", done(1))],
  },
  {
    name: "two copies in one query",
    messages: [
      Q(`${COPY}; select 1; ${COPY}`, COPY_IN, done(1), COPY_IN),
      d("1\ta\n"),
      c(),
      d("2\tb\n"),
      c(),
      Q("delete from item", done(0, "DELETE 2")),
    ],
  },
  {
    name: "two copies in one query, one after the other",
    messages: [
      Q(`${COPY}; ${COPY}`, COPY_IN, COPY_IN),
      after("G", d("1\ta\n")),
      c(),
      after("G", d("2\tb\n")),
      c(),
      after("Z", Q("delete from item", done(0, "DELETE 2"))),
    ],
  },
  {
    name: "two copies in one query, the first fails",
    messages: [
      Q(`${COPY}; ${COPY}`, COPY_IN, COPY_IN),
      d("x\ta\n", true),
      c(),
      d("2\tb\n"),
      c(),
      Q("select 1", done(1)),
    ],
  },
  {
    name: "copy in, extended, sync behind its end",
    messages: [
      P(COPY),
      B(),
      E(COPY_IN),
      H(),
      after("G", d("1\ta\n")),
      c(),
      S(),
      after("Z", Q("delete from item", done(0, "DELETE 1"))),
    ],
  },
  {
    name: "copy in, extended, sync before its end too",
    messages: [
      P(COPY),
      B(),
      E(COPY_IN),
      S(),
      after("G", d("1\ta\n")),
      c(),
      S(),
      after("Z", Q("delete from item", done(0, "DELETE 1"))),
    ],
  },
  {
    name: "copy in, extended, all at once with syncs within",
    messages: [
      P(COPY),
      B(),
      E(COPY_IN),
      S(),
      d("1\ta\n"),
      S(),
      H(),
      d("2\tb\n"),
      c(),
      S(),
      Q("delete from item", done(0, "DELETE 2")),
    ],
  },
  {
    name: "copy in, extended, two ends",
    messages: [P(COPY), B(), E(COPY_IN), d("1\ta\n"), c(), c(), S(), Q("delete from item", done(0, "DELETE 1"))],
  },
  {
    name: "copy in, extended, given up",
    messages: [P(COPY), B(), E(COPY_IN), H(), after("G", f()), after("E", S()), Q("select 1", done(1))],
  },
  {
    name: "copy in, extended, error in data, sync behind",
    messages: [
      P(COPY),
      B(),
      E(COPY_IN),
      H(),
      after("G", d("x\ty\n", true)),
      after("E", d("2\tb\n")),
      c(),
      S(),
      Q("select 1", done(1)),
    ],
  },
  {
    name: "copy in, extended, error in data behind a sync",
    messages: [
      P(COPY),
      B(),
      E(COPY_IN),
      S(),
      after("G", d("x\ty\n", true)),
      after("E", c()),
      S(),
      after("Z", Q("select 1", done(1))),
    ],
  },
  {
    name: "copy in, extended, fails before it reads the sync",
    messages: [
      P("copy guarded from stdin"),
      B(),
      E({ rows: 0, end: "inE" }),
      S(),
      after("Z", c()),
      S(),
      after("Z", Q("select 1", done(1))),
    ],
  },
  {
    name: "copy in, extended, error in data, syncs on both sides",
    messages: [P(COPY), B(), E(COPY_IN), S(), d("x\ty\n", true), S(), d("2\tb\n"), c(), S(), Q("select 1", done(1))],
  },
  {
    name: "copy in, extended, of a table that is not there",
    messages: [P("copy nosuch from stdin"), B(), E(FAILS), S(), d("1\n"), c(), S(), Q("select 1", done(1))],
  },
  {
    name: "copy in, simple, error in data, syncs on both sides",
    messages: [Q(COPY, COPY_IN), S(), d("x\ty\n", true), S(), c(), Q("select 1", done(1))],
  },
  {
    name: "discard all and deallocate all",
    messages: [
      P("select 1", "gone"),
      S(),
      Q("deallocate all", done(0, "DEALLOCATE ALL")),
      B([], "gone", "", true),
      S(),
      Q("discard all", done(0, "DISCARD ALL")),
    ],
  },
  { name: "notice within a query", messages: [Q("do $$ begin raise notice 'hear'; end $$", done())] },
  {
    name: "notification to oneself",
    messages: [
      Q("listen here", done()),
      Q("notify here", done()),
      P("notify here"),
      B(),
      E(done()),
      S(),
      Q("unlisten *", done()),
    ],
  },
  {
    name: "parameter status",
    messages: [Q("set datestyle to german; set timezone to 'Asia/Tokyo'", done(), done()), Q("reset all", done())],
  },
  {
    name: "fail-stop prefix that succeeds",
    messages: [
      P("begin isolation level read committed"),
      B(),
      E(done()),
      P("set application_name to 'a'"),
      B(),
      E(done()),
      P("commit"),
      B(),
      E(done()),
      Q("show application_name", done(1)),
    ],
  },
  {
    name: "fail-stop prefix that fails",
    messages: [
      P("begin isolation level read committed"),
      B(),
      E(done()),
      P("set role nosuch"),
      B(),
      E(FAILS),
      P("commit"),
      B(),
      E(done()),
      Q("show application_name", done(1)),
      S(),
      Q("rollback", done(0, "ROLLBACK")),
    ],
  },
];
