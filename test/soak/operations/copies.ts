/** COPY both ways: what comes out is compared to the byte, what goes in is entered in the ledger. */
import { message, query } from "../../support/wire-client.ts";
import { checkAnswer, checkError, checkSame } from "../answer-check.ts";
import type { Operation, OperationCall } from "../operation.ts";
import type { SoakConnection, Answer } from "../soak-connection.ts";

const linesOutMax = 20_000;
const partsMax = 200;
const pieceBytesMax = 700;

export const copies: readonly Operation[] = [
  { name: "copy-out", weight: 0.4, run: copyOut },
  { name: "copy-in", weight: 0.6, run: copyIn },
  { name: "copy-failed", weight: 0.3, run: copyFailed },
];

async function copyOut({ connection, random, token }: OperationCall): Promise<void> {
  const count = random.skewed(1, linesOutMax);
  const sql = `copy (select i, '${token}' from generate_series(1, ${count}) i) to stdout`;
  const answer = await connection.ask(query(sql));
  const expected = Array.from({ length: count }, (_, at) => `${at + 1}\t${token}\n`).join("");
  checkAnswer("COPY to stdout", answer, { tags: [`COPY ${count}`] });
  checkSame("COPY to stdout, data", expected, Buffer.concat(answer.copied).toString("latin1"));
}

/** Asks for COPY FROM STDIN, sends `messages` once PostgreSQL wants data, and returns the answer. */
function feed(connection: SoakConnection, messages: readonly Buffer[]): Promise<Answer> {
  return connection.ask(query("copy journal (client, entry, part, via) from stdin"), {
    onMessage: (type) => type === "G" && connection.send(Buffer.concat(messages)),
  });
}

/** Lines of the journal, cut anywhere. */
function pieces({ client, random }: OperationCall, entry: number, parts: number): Buffer[] {
  const lines = Array.from({ length: parts }, (_, part) => `${client}\t${entry}\t${part + 1}\tcopy\n`).join("");
  const cut: Buffer[] = [];
  for (let at = 0; at < lines.length;) {
    const size = random.between(1, pieceBytesMax);
    cut.push(message("d", Buffer.from(lines.slice(at, at + size))));
    at += size;
  }
  return cut;
}

async function copyIn(call: OperationCall): Promise<void> {
  const { connection, ledger, random } = call;
  const parts = random.between(1, partsMax);
  const entry = ledger.open(parts);
  ledger.mayLast(entry);
  const answer = await feed(connection, [...pieces(call, entry, parts), message("c")]);
  checkAnswer("COPY from stdin", answer, { tags: [`COPY ${parts}`] });
  ledger.lasts(entry);
}

/** The client gives up, or sends what PostgreSQL refuses. */
async function copyFailed(call: OperationCall): Promise<void> {
  const { connection, ledger, random, token } = call;
  const entry = ledger.open(partsMax);
  const data = pieces(call, entry, partsMax);
  if (random.chance(0.5)) {
    const answer = await feed(connection, [...data, message("f", token)]);
    checkError("COPY given up", answer, { sqlstate: "57014", text: token });
  } else {
    const answer = await feed(connection, [...data, message("d", Buffer.from(`${token}\n`)), message("c")]);
    checkError("COPY of what is no number", answer, { sqlstate: "22P02", text: token });
  }
}
