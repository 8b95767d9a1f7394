/** Statements that keep a server for a while: asleep, at work, or waiting for a lock (see writes.ts). */
import { bind, execute, parse, query, sync } from "../../support/wire-client.ts";
import { checkAnswer } from "../answer-check.ts";
import type { Operation, OperationCall } from "../operation.ts";

const sleepMsMin = 30;
const sleepMsMax = 300;
const countMin = 50_000;
const countMax = 400_000;

export const longReads: readonly Operation[] = [
  { name: "sleep", weight: 0.25, run: sleep },
  { name: "work", weight: 0.15, run: work },
];

async function sleep({ connection, random, token }: OperationCall): Promise<void> {
  const seconds = random.between(sleepMsMin, sleepMsMax) / 1000;
  const unit = random.chance(0.5)
    ? query(`select '${token}' from pg_sleep(${seconds})`)
    : Buffer.concat([
        parse("", "select $1::text from pg_sleep($2::float8)"),
        bind("", "", [token, String(seconds)]),
        execute(""),
        sync(),
      ]);
  checkAnswer("a long sleep", await connection.ask(unit), { rows: [[token]], tags: ["SELECT 1"] });
}

async function work({ connection, random, token }: OperationCall): Promise<void> {
  const count = random.between(countMin, countMax);
  const unit = random.chance(0.5)
    ? query(`select '${token}', count(*) from generate_series(1, ${count})`)
    : Buffer.concat([
        parse("", "select $1::text, count(*) from generate_series(1, $2::int)"),
        bind("", "", [token, String(count)]),
        execute(""),
        sync(),
      ]);
  checkAnswer("long work", await connection.ask(unit), { rows: [[token, String(count)]], tags: ["SELECT 1"] });
}
