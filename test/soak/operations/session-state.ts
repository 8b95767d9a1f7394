/** What must follow a client from server to server: its parameters, told by what they do to an answer. */
import { bind, execute, parse, query, sync } from "../../support/wire-client.ts";
import { checkAnswer } from "../answer-check.ts";
import type { Operation, OperationCall } from "../operation.ts";
import { dateStyles } from "../soak-session.ts";

const dateText = "select $1::text, date '2026-11-22'::text, current_setting('application_name')";

export const sessionStateOperations: readonly Operation[] = [
  { name: "parameters", weight: 4, run: parameters },
  { name: "set", weight: 0.7, run: set },
];

async function parameters({ connection, random, session, token }: OperationCall): Promise<void> {
  const bySimple = random.chance(0.5);
  const unit = bySimple
    ? query(dateText.replace("$1", `'${token}'`))
    : Buffer.concat([parse("", dateText), bind("", "", [token]), execute(""), sync()]);
  const row = [token, session.dateStyle.date, session.applicationName];
  checkAnswer("parameters of the session", await connection.ask(unit), { rows: [row] });
}

/** Changes a parameter, for good, or in a transaction that is rolled back, or for a transaction. */
async function set(call: OperationCall): Promise<void> {
  const { connection, random, session, token } = call;
  if (!session.isFickle) return parameters(call);
  const style = random.pick(dateStyles);
  const how = random.below(4);
  if (how === 0) {
    checkAnswer("SET", await connection.ask(query(`set datestyle to ${style.name}`)), { tags: ["SET"] });
    session.dateStyle = style;
  } else if (how === 1) {
    checkAnswer("SET", await connection.ask(query(`set application_name to '${token}'`)), { tags: ["SET"] });
    session.applicationName = token;
  } else {
    const isLocal = how === 2;
    const word = isLocal ? "set local" : "set";
    checkAnswer("BEGIN", await connection.ask(query("begin")), { tags: ["BEGIN"], status: "T" });
    checkAnswer("SET", await connection.ask(query(`${word} datestyle to ${style.name}`)), { status: "T" });
    const inside = await connection.ask(query(dateText.replace("$1", `'${token}'`)));
    checkAnswer("a date", inside, { rows: [[token, style.date, session.applicationName]], status: "T" });
    checkAnswer("its end", await connection.ask(query(isLocal ? "commit" : "rollback")), {});
  }
  await parameters(call);
}
