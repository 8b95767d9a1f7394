/**
 * Writes in every shape, entered in the client's ledger: a transaction adds one to the client's counter, or to a counter
 * that all fight for, and puts a row into the journal.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { bind, execute, parse, query, sync } from "../../support/wire-client.ts";
import { checkAnswer, checkError, checkSame } from "../answer-check.ts";
import type { Operation, OperationCall } from "../operation.ts";
import type { Answer } from "../soak-connection.ts";

/** Rows of table `hot`, ids from 0. */
export const hotCounters = 4;
const thinkMsMax = 15;

export const writes: readonly Operation[] = [
  { name: "transaction", weight: 3, run: transaction },
  { name: "hot", weight: 0.6, run: hot },
  { name: "one-query", weight: 1, run: oneQuery },
  { name: "one-sync", weight: 1, run: oneSync },
  { name: "autocommit", weight: 1.5, run: autocommit },
  { name: "pipelined-tx", weight: 1, run: pipelinedTransaction },
  { name: "read-own", weight: 1, run: readOwnWrite },
  { name: "failed-tx", weight: 0.8, run: failedTransaction },
  { name: "rolled-back", weight: 0.5, run: rolledBack },
  { name: "savepoint", weight: 0.5, run: savepoint },
  { name: "read-only-tx", weight: 1.5, run: readOnlyTransaction },
  { name: "empty-tx", weight: 0.5, run: emptyTransaction },
];

const updateText = "update counter set n = n + 1 where client = $1 returning pg_backend_pid()";
const insertText = "insert into journal (client, entry, part, via) values ($1, $2, 1, 'tx') returning pg_backend_pid()";

function update(client: number): string {
  return updateText.replace("$1", `${client}`);
}

function insert(client: number, entry: number): string {
  return insertText.replace("$1", `${client}`).replace("$2", `${entry}`);
}

/** One statement of a transaction; returns its answer, or throws when that is an error. */
async function step({ connection }: OperationCall, sql: string): Promise<Answer> {
  const answer = await connection.ask(query(sql));
  checkAnswer(sql, answer, { status: "T" });
  return answer;
}

async function commit({ connection, ledger }: OperationCall, entry: number): Promise<void> {
  ledger.mayLast(entry);
  checkAnswer("COMMIT", await connection.ask(query("commit")), { tags: ["COMMIT"] });
  ledger.lasts(entry);
}

async function think({ random }: OperationCall): Promise<void> {
  if (random.chance(0.2)) await sleep(random.between(1, thinkMsMax));
}

/** All statements of a transaction run on the server on which it began. */
async function transaction(call: OperationCall): Promise<void> {
  const { client, ledger } = call;
  const entry = ledger.open();
  await step(call, "begin");
  await think(call);
  const updated = await step(call, update(client));
  await think(call);
  const inserted = await step(call, insert(client, entry));
  checkSame("the server of a transaction", updated.rows, inserted.rows);
  await commit(call, entry);
}

/** Waits for others that hold the same row. */
async function hot(call: OperationCall): Promise<void> {
  const { client, ledger, random } = call;
  const entry = ledger.open();
  await step(call, "begin");
  await step(call, `update hot set n = n + 1 where id = ${random.below(hotCounters)}`);
  await step(call, insert(client, entry).replace("'tx'", "'hot'"));
  await commit(call, entry);
}

async function oneQuery({ client, connection, ledger }: OperationCall): Promise<void> {
  const entry = ledger.open();
  ledger.mayLast(entry);
  const answer = await connection.ask(query(`begin; ${update(client)}; ${insert(client, entry)}; commit`));
  checkAnswer("a transaction in one Query", answer, { tags: ["BEGIN", "UPDATE 1", "INSERT 0 1", "COMMIT"] });
  ledger.lasts(entry);
}

function statement(sql: string, values: readonly number[]): Buffer {
  return Buffer.concat([parse("", sql), bind("", "", values.map(String)), execute("")]);
}

/** One Sync makes one transaction of what stands before it. */
async function oneSync({ client, connection, ledger }: OperationCall): Promise<void> {
  const entry = ledger.open();
  const both = [statement(updateText, [client]), statement(insertText, [client, entry])];
  ledger.mayLast(entry);
  const answer = await connection.ask(Buffer.concat([...both, sync()]));
  checkAnswer("a transaction before one Sync", answer, { tags: ["UPDATE 1", "INSERT 0 1"] });
  ledger.lasts(entry);
}

async function autocommit({ client, connection, ledger, random }: OperationCall): Promise<void> {
  const entry = ledger.open();
  const sql = `with changed as (update counter set n = n + 1 where client = $1 returning client)
    insert into journal (client, entry, part, via) select client, $2, 1, 'tx' from changed`;
  const text = sql.replace("$1", `${client}`).replace("$2", `${entry}`);
  const byQuery = random.chance(0.5);
  const values = [String(client), String(entry)];
  const parts = [parse("", sql.replace("$2", "$2::int")), bind("", "", values), execute(""), sync()];
  ledger.mayLast(entry);
  const answer = await connection.ask(byQuery ? query(text) : Buffer.concat(parts));
  checkAnswer("a write outside a transaction", answer, { tags: ["INSERT 0 1"] });
  ledger.lasts(entry);
}

/** BEGIN, the statements and COMMIT in one write, each with a Sync of its own. */
async function pipelinedTransaction({ client, connection, ledger }: OperationCall): Promise<void> {
  const entry = ledger.open();
  ledger.mayLast(entry);
  const answers = await connection.askAll([
    query("begin"),
    Buffer.concat([statement(updateText, [client]), sync()]),
    Buffer.concat([statement(insertText, [client, entry]), sync()]),
    query("commit"),
  ]);
  const statuses = ["T", "T", "T", "I"] as const;
  for (const [at, answer] of answers.entries()) {
    checkAnswer("a pipelined transaction", answer, { status: statuses[at] as "T" | "I" });
  }
  checkSame("the server of a pipelined transaction", answers[1]?.rows, answers[2]?.rows);
  ledger.lasts(entry);
}

/** A read behind a write in the same write to the socket sees it: they must not run on two servers. */
async function readOwnWrite({ client, connection, ledger, random, token }: OperationCall): Promise<void> {
  const entry = ledger.open();
  const read = "select $1::text, count(*) from journal where client = $2 and entry = $3";
  const values = [token, String(client), String(entry)];
  const readUnit = random.chance(0.5)
    ? query(read.replace("$1", `'${token}'`).replace("$2", `${client}`).replace("$3", `${entry}`))
    : Buffer.concat([parse("", read), bind("", "", values), execute(""), sync()]);
  ledger.mayLast(entry);
  const [written, seen] = await connection.askAll([query(insert(client, entry).replace("'tx'", "'own'")), readUnit]);
  checkAnswer("a write before a read", written as Answer, { tags: ["INSERT 0 1"] });
  ledger.lasts(entry);
  checkAnswer("a read behind a write", seen as Answer, { rows: [[token, "1"]] });
}

async function failedTransaction(call: OperationCall): Promise<void> {
  const { client, connection, ledger, token } = call;
  const entry = ledger.open();
  await step(call, "begin");
  await step(call, update(client));
  await step(call, insert(client, entry));
  const failed = await connection.ask(query(`select '${token}'::int`));
  checkError("an error in a transaction", failed, { sqlstate: "22P02", text: token, status: "E" });
  const ignored = await connection.ask(query(update(client)));
  checkError("a statement in a failed transaction", ignored, { sqlstate: "25P02", status: "E" });
  checkAnswer("COMMIT of a failed transaction", await connection.ask(query("commit")), { tags: ["ROLLBACK"] });
}

async function rolledBack(call: OperationCall): Promise<void> {
  const { client, connection, ledger } = call;
  const entry = ledger.open();
  await step(call, "begin");
  await step(call, update(client));
  await step(call, insert(client, entry));
  await think(call);
  checkAnswer("ROLLBACK", await connection.ask(query("rollback")), { tags: ["ROLLBACK"] });
}

async function savepoint(call: OperationCall): Promise<void> {
  const { client, connection, ledger, token } = call;
  const undone = ledger.open();
  const kept = ledger.open();
  await step(call, "begin");
  await step(call, update(client));
  await step(call, "savepoint one");
  await step(call, insert(client, undone));
  checkError("an error behind a savepoint", await connection.ask(query(`select '${token}'::int`)), {
    sqlstate: "22P02",
    text: token,
    status: "E",
  });
  await step(call, "rollback to one");
  await step(call, insert(client, kept));
  await commit(call, kept);
}

/** Two reads of one snapshot, on one server. */
async function readOnlyTransaction(call: OperationCall): Promise<void> {
  const { connection, random, token } = call;
  const begins = ["begin", "begin read only", "begin isolation level repeatable read read only", "start transaction"];
  const begin = random.pick(begins);
  const tag = begin.startsWith("start") ? "START TRANSACTION" : "BEGIN";
  checkAnswer(begin, await connection.ask(query(begin)), { tags: [tag], status: "T" });
  await think(call);
  const first = await step(call, `select '${token}', pg_backend_pid()`);
  const second = await step(call, `select '${token}', pg_backend_pid()`);
  checkSame("the token of a transaction", token, first.rows[0]?.[0]);
  checkSame("the server of a read-only transaction", first.rows, second.rows);
  checkAnswer("COMMIT", await connection.ask(query("commit")), { tags: ["COMMIT"] });
}

async function emptyTransaction(call: OperationCall): Promise<void> {
  const { connection, random } = call;
  checkAnswer("BEGIN", await connection.ask(query("begin")), { tags: ["BEGIN"], status: "T" });
  await think(call);
  const end = random.pick(["commit", "rollback"]);
  checkAnswer(end, await connection.ask(query(end)), { tags: [end.toUpperCase()] });
}
