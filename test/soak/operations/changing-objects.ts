/**
 * Reads of views and functions whose definition changes meanwhile (schema-changer.ts). Function `touch` is a plain
 * read at times and writes at others: run twice, or taken for a read, it is found in the ledger.
 */
import { bind, execute, parse, query, sync } from "../../support/wire-client.ts";
import { checkAnswer, checkSame } from "../answer-check.ts";
import type { Operation, OperationCall } from "../operation.ts";

export const changingObjects: readonly Operation[] = [
  { name: "versions", weight: 4, run: versionRead },
  { name: "touch", weight: 2, run: touch },
  { name: "draw", weight: 2, run: draw },
];

/** Object n is view `version_n` when n is even, function `version_n()` when it is odd. */
export function versionSource(object: number): string {
  return object % 2 === 0 ? `version_${object}` : `version_${object}()`;
}

async function versionRead({ connection, random, session, token, versions }: OperationCall): Promise<void> {
  const object = random.below(versions.objects);
  const text = `select $1::text, version from ${versionSource(object)} as version(version)`;
  const how = random.below(3);
  const name = how === 2 ? `v${object}` : "";
  const isPrepared = session.prepared.has(name);
  if (name !== "") session.prepared.set(name, text);
  const unit =
    how === 0
      ? query(text.replace("$1", `'${token}'`))
      : Buffer.concat([...(isPrepared ? [] : [parse(name, text)]), bind("", name, [token]), execute(""), sync()]);
  const oldest = versions.oldest(object);
  const answer = await connection.ask(unit);
  checkAnswer("a version", answer, { tags: ["SELECT 1"] });
  checkSame("the token of a version", token, answer.rows[0]?.[0]);
  versions.check(object, oldest, Number(answer.rows[0]?.[1]));
}

async function touch({ client, connection, ledger, random, session, token }: OperationCall): Promise<void> {
  const entry = ledger.open();
  const text = "select $1::text, touch($2::int, $3::int)";
  const literal = text.replace("$1", `'${token}'`).replace("$2", `${client}`).replace("$3", `${entry}`);
  const name = random.chance(0.5) ? "touch" : "";
  const isPrepared = session.prepared.has(name);
  const byQuery = random.chance(0.4);
  if (name !== "" && !byQuery) session.prepared.set(name, text);
  const values = [token, String(client), String(entry)];
  const unit = byQuery
    ? query(literal)
    : Buffer.concat([...(isPrepared ? [] : [parse(name, text)]), bind("", name, values), execute(""), sync()]);
  ledger.mayLast(entry);
  const answer = await connection.ask(unit);
  checkAnswer("a touch", answer, { tags: ["SELECT 1"] });
  const [told, did] = answer.rows[0] ?? [];
  checkSame("the token of a touch", token, told);
  if (did === "wrote") ledger.lasts(entry);
  else ledger.isUndone(entry);
}

/** A view with nextval() in it looks like a read: no number may be lost or given out twice. */
async function draw({ connection, draws, random, token }: OperationCall): Promise<void> {
  const text = "select $1::text, number from drawn";
  const unit = random.chance(0.5)
    ? query(text.replace("$1", `'${token}'`))
    : Buffer.concat([parse("", text), bind("", "", [token]), execute(""), sync()]);
  draws.asked();
  const answer = await connection.ask(unit);
  checkAnswer("a draw", answer, { tags: ["SELECT 1"] });
  checkSame("the token of a draw", token, answer.rows[0]?.[0]);
  draws.answered(Number(answer.rows[0]?.[1]));
}
