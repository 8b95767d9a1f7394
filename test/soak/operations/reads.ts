/**
 * Short reads by every protocol: what shares a server where servers are shared. Each answer carries its asker's token and
 * a row of the asker's choice, so that one that went astray is seen.
 */
import {
  bind,
  closeStatement,
  describePortal,
  describeStatement,
  execute,
  flush,
  parse,
  query,
  sync,
} from "../../support/wire-client.ts";
import { checkAnswer, checkError, checkSame } from "../answer-check.ts";
import type { Operation, OperationCall } from "../operation.ts";

/** Rows of table `item`: id from 1, name `item <id>`. */
export const items = 2000;
/** Texts that clients have in common, under names of their own. */
const sharedTexts = 12;
/** An id among so many makes a text that one client has alone. */
const ownTextPer = 6;
const pipelineUnitsMax = 8;
const rowsMax = 120;

const rowsText = "select id, name from item where id >= $1 and id < $2 order by id";

export const reads: readonly Operation[] = [
  { name: "simple", weight: 22, run: simple },
  { name: "unnamed", weight: 18, run: unnamed },
  { name: "prepared", weight: 24, run: prepared },
  { name: "close", weight: 0.5, run: close },
  { name: "deallocate", weight: 0.2, run: deallocate },
  { name: "pipelined", weight: 4, run: pipelined },
  { name: "rows", weight: 4, run: rows },
  { name: "flushed", weight: 0.7, run: flushed },
  { name: "refused", weight: 4, run: refused },
  { name: "notice", weight: 0.5, run: notice },
  { name: "empty", weight: 0.3, run: empty },
];

/** A unit that reads, and the row that must come back. */
interface Read {
  readonly unit: Buffer;
  readonly row: readonly string[];
}

function simpleRead({ random, token }: OperationCall, suffix = ""): Read {
  const id = random.between(1, items);
  const text = `${token}${suffix}`;
  return { unit: query(`select '${text}', name from item where id = ${id}`), row: [text, `item ${id}`] };
}

function unnamedRead({ random, token }: OperationCall, suffix = ""): Read {
  const id = random.between(1, items);
  const text = `${token}${suffix}`;
  const unit = Buffer.concat([
    parse("", "select $1::text, name from item where id = $2::int"),
    bind("", "", [text, String(id)]),
    describePortal(""),
    execute(""),
    sync(),
  ]);
  return { unit, row: [text, `item ${id}`] };
}

/** Binds a name and prepares it first when it is not there yet; `types` is what the answer consists of. */
function preparedRead({ client, random, session, token }: OperationCall): Read & { readonly types: string } {
  const id = random.between(1, items);
  const which = random.below(sharedTexts + sharedTexts / ownTextPer);
  const name = `p${which}`;
  const own = which < sharedTexts ? `text ${which}` : `of ${client}`;
  const text = `select $1::text, '${own}', name from item where id = $2::int`;
  const isThere = session.prepared.has(name);
  session.prepared.set(name, text);
  const describes = !isThere || random.chance(0.2);
  const unit = Buffer.concat([
    ...(isThere ? [] : [parse(name, text)]),
    bind("", name, [token, String(id)]),
    ...(describes ? [describePortal("")] : []),
    execute(""),
    sync(),
  ]);
  const types = `${isThere ? "" : "1"}2${describes ? "T" : ""}DCZ`;
  return { unit, row: [token, own, `item ${id}`], types };
}

async function simple(call: OperationCall): Promise<void> {
  const { unit, row } = simpleRead(call);
  checkAnswer("a simple read", await call.connection.ask(unit), { rows: [row], tags: ["SELECT 1"] });
}

async function unnamed(call: OperationCall): Promise<void> {
  const { unit, row } = unnamedRead(call);
  const answer = await call.connection.ask(unit);
  checkAnswer("an unnamed read", answer, { rows: [row], tags: ["SELECT 1"] });
  checkSame("an unnamed read, messages", "12TDCZ", answer.types);
}

async function prepared(call: OperationCall): Promise<void> {
  const { unit, row, types } = preparedRead(call);
  const answer = await call.connection.ask(unit);
  checkAnswer("a prepared read", answer, { rows: [row], tags: ["SELECT 1"] });
  checkSame("a prepared read, messages", types, answer.types);
}

async function close({ connection, random, session }: OperationCall): Promise<void> {
  const name = `p${random.below(sharedTexts)}`;
  session.prepared.delete(name);
  const answer = await connection.ask(Buffer.concat([closeStatement(name), sync()]));
  checkAnswer("a Close", answer, {});
  checkSame("a Close, messages", "3Z", answer.types);
}

async function deallocate({ connection, session }: OperationCall): Promise<void> {
  const answer = await connection.ask(query("deallocate all"));
  session.prepared.clear();
  checkAnswer("DEALLOCATE ALL", answer, { tags: ["DEALLOCATE ALL"] });
}

/** Several units in one write, one of them wrong now and then: each has its own answer, in order. */
async function pipelined(call: OperationCall): Promise<void> {
  const { connection, random, token } = call;
  const expected: (Read | null)[] = [];
  const wrong = parse("", "select $1::int");
  for (let count = random.between(2, pipelineUnitsMax); count > 0; count--) {
    const kind = random.below(8);
    if (kind === 0) expected.push(null);
    else if (kind < 3) expected.push(simpleRead(call, `-${count}`));
    else if (kind < 5) expected.push(unnamedRead(call, `-${count}`));
    else expected.push(preparedRead(call));
  }
  const refusedUnit = Buffer.concat([wrong, bind("", "", [token]), execute(""), sync()]);
  const answers = await connection.askAll(expected.map((read) => read?.unit ?? refusedUnit));
  for (const [at, answer] of answers.entries()) {
    const read = expected[at] as Read | null;
    if (read === null) checkError("a refused unit of a pipeline", answer, { sqlstate: "22P02", text: token });
    else checkAnswer("a read of a pipeline", answer, { rows: [read.row], tags: ["SELECT 1"] });
  }
}

async function rows({ connection, random, token }: OperationCall): Promise<void> {
  const from = random.between(1, items - rowsMax);
  const count = random.skewed(1, rowsMax);
  const expected = Array.from({ length: count }, (_, at) => [String(from + at), `item ${from + at}`]);
  const bySimple = random.chance(0.5);
  const text = rowsText.replace("$1", `${from}`).replace("$2", `${from + count} /* ${token} */`);
  const unit = bySimple
    ? query(text)
    : Buffer.concat([
        parse("", rowsText),
        bind("", "", [String(from), String(from + count)]),
        describeStatement(""),
        execute(""),
        sync(),
      ]);
  checkAnswer("a read of rows", await connection.ask(unit), { rows: expected, tags: [`SELECT ${count}`] });
}

/** Parse, Bind and Flush; the rest once their answers are there. */
async function flushed({ connection, token }: OperationCall): Promise<void> {
  let bound: () => void = () => undefined;
  const isBound = new Promise<void>((resolve) => (bound = resolve));
  const answer = connection.expect({ onMessage: (type) => type === "2" && bound() });
  connection.send(Buffer.concat([parse("", "select $1::text"), bind("", "", [token]), flush()]));
  await Promise.race([isBound, answer]);
  connection.send(Buffer.concat([execute(""), sync()]));
  checkAnswer("a read with Flush", await answer, { rows: [[token]], tags: ["SELECT 1"] });
}

/** An error that names its asker. */
async function refused({ connection, random, token }: OperationCall): Promise<void> {
  const kinds = [
    { unit: query(`select '${token}'::int`), sqlstate: "22P02", text: token },
    { unit: query(`select ${random.below(100)} / 0`), sqlstate: "22012", text: "division by zero" },
    { unit: query(`select * from "${token}"`), sqlstate: "42P01", text: token },
    { unit: query(`selec '${token}'`), sqlstate: "42601", text: "selec" },
    {
      unit: Buffer.concat([parse("", "select $1::int"), bind("", "", [token]), execute(""), sync()]),
      sqlstate: "22P02",
      text: token,
    },
    // What stands behind the error and before the Sync is skipped.
    {
      unit: Buffer.concat([parse("", `select * from "${token}"`), bind("", ""), execute(""), execute(""), sync()]),
      sqlstate: "42P01",
      text: token,
    },
  ];
  const { unit, ...expected } = random.pick(kinds);
  checkError("a refused statement", await connection.ask(unit), expected);
}

async function notice({ connection, token }: OperationCall): Promise<void> {
  const answer = await connection.ask(query(`do $$ begin raise notice '${token}'; end $$`));
  checkAnswer("a notice", answer, { notices: [token], tags: ["DO"] });
}

async function empty({ connection, random }: OperationCall): Promise<void> {
  const units = [query(""), sync(), query(" ; ")];
  const answer = await connection.ask(random.pick(units));
  checkAnswer("an empty unit", answer, { rows: [], tags: [] });
}
