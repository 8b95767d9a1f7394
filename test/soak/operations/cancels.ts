/**
 * Cancel requests. Who sends one waits for the end of its statement and of the request's connection; from then on nobody
 * may be cancelled. All other operations take 57014 for a wrong answer, so a cancel that hits a stranger is found there.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { bind, execute, parse, query, sync } from "../../support/wire-client.ts";
import { checkAnswer, checkError } from "../answer-check.ts";
import type { Operation, OperationCall } from "../operation.ts";
import type { Answer } from "../soak-connection.ts";
import { items } from "./reads.ts";

const longSeconds = 0.3;
const raceMsMax = 4;
const afterMsMax = 200;

export const cancels: readonly Operation[] = [
  { name: "cancel-long", weight: 0.15, run: cancelLong },
  { name: "cancel-race", weight: 0.8, run: cancelRace },
  { name: "cancel-idle", weight: 0.15, run: cancelIdle },
  { name: "cancel-tx", weight: 0.1, run: cancelInTransaction },
];

/** Asks, cancels `delayMs` later, and returns the answer when both are over. */
async function askAndCancel({ connection }: OperationCall, unit: Uint8Array, delayMs: number): Promise<Answer> {
  const answer = connection.ask(unit);
  if (delayMs > 0) await sleep(delayMs);
  await connection.cancel();
  return answer;
}

/** Cancelled, or answered because the request came too late. */
function checkEither(what: string, answer: Answer, row: readonly string[]): void {
  if (answer.errors.length > 0) checkError(what, answer, { sqlstate: "57014", text: "user request" });
  else checkAnswer(what, answer, { rows: [row], tags: ["SELECT 1"] });
}

async function cancelLong(call: OperationCall): Promise<void> {
  const { random, token } = call;
  const unit = query(`select '${token}' from pg_sleep(${longSeconds})`);
  checkEither("a long statement, cancelled", await askAndCancel(call, unit, random.between(0, afterMsMax)), [token]);
}

/** The request and the answer meet. */
async function cancelRace(call: OperationCall): Promise<void> {
  const { random, token } = call;
  const id = random.between(1, items);
  const sql = "select $1::text, name from item where id = $2::int";
  const unit = random.chance(0.5)
    ? query(sql.replace("$1", `'${token}'`).replace("$2", `${id}`))
    : Buffer.concat([parse("", sql), bind("", "", [token, String(id)]), execute(""), sync()]);
  checkEither("a short read, cancelled", await askAndCancel(call, unit, random.between(0, raceMsMax)), [
    token,
    `item ${id}`,
  ]);
}

/** Nothing runs: nothing may be cancelled, not even what comes next. */
async function cancelIdle({ connection, token }: OperationCall): Promise<void> {
  await connection.cancel();
  const answer = await connection.ask(query(`select '${token}'`));
  checkAnswer("a read behind a cancel request", answer, { rows: [[token]] });
}

async function cancelInTransaction(call: OperationCall): Promise<void> {
  const { client, connection, ledger, random, token } = call;
  const entry = ledger.open();
  checkAnswer("BEGIN", await connection.ask(query("begin")), { tags: ["BEGIN"], status: "T" });
  const insert = `insert into journal (client, entry, part, via) values (${client}, ${entry}, 1, 'own')`;
  checkAnswer("INSERT", await connection.ask(query(insert)), { status: "T" });
  const unit = query(`select '${token}' from pg_sleep(${longSeconds})`);
  const answer = await askAndCancel(call, unit, random.between(0, afterMsMax));
  if (answer.errors.length === 0) checkAnswer("a long statement", answer, { rows: [[token]], status: "T" });
  else checkError("a long statement, cancelled", answer, { sqlstate: "57014", text: "user request", status: "E" });
  checkAnswer("ROLLBACK", await connection.ask(query("rollback")), { tags: ["ROLLBACK"] });
}
