/** Answers of up to several megabytes, every byte compared, to readers that stop for a while. */
import { setTimeout as sleep } from "node:timers/promises";
import { bind, execute, int16, int32, parse, query, sync } from "../../support/wire-client.ts";
import { checkAnswer, checkSame } from "../answer-check.ts";
import type { Operation, OperationCall } from "../operation.ts";

const totalBytesMin = 100_000;
const totalBytesMax = 5_000_000;
const rowBytesMin = 100;
const rowBytesMax = 60_000;
const oneRowBytesMax = 4_000_000;
const stopMsMax = 600;
const bigText = "select i, $1::text || repeat('x', $2::int) from generate_series(1, $3::int) i";

export const bigAnswers: readonly Operation[] = [{ name: "big", weight: 0.2, run: big }];

async function big({ connection, random, token }: OperationCall): Promise<void> {
  const isOneRow = random.chance(0.15);
  const width = isOneRow ? random.skewed(totalBytesMin, oneRowBytesMax) : random.skewed(rowBytesMin, rowBytesMax);
  const count = isOneRow ? 1 : Math.ceil(random.skewed(totalBytesMin, totalBytesMax) / width);
  const values = [token, String(width), String(count)];
  const unit = random.chance(0.5)
    ? query(
        bigText
          .replace("$1", `'${token}'`)
          .replace("$2", values[1] as string)
          .replace("$3", values[2] as string),
      )
    : Buffer.concat([parse("", bigText), bind("", "", values), execute(""), sync()]);
  const text = Buffer.from(token + "x".repeat(width), "latin1");
  const stopsAt = random.chance(0.5) ? random.between(1, count) : 0;
  const stopMs = random.between(1, stopMsMax);
  let seen = 0;
  let firstWrong: number | null = null;
  const answer = await connection.ask(unit, {
    onRow(body) {
      seen += 1;
      if (!isRow(body, seen, text)) firstWrong ??= seen;
      if (seen !== stopsAt) return;
      connection.socket.pause();
      void sleep(stopMs).then(() => connection.socket.resume());
    },
  });
  checkAnswer("a big answer", answer, { tags: [`SELECT ${count}`] });
  checkSame("a big answer, its first wrong row", null, firstWrong);
  checkSame("a big answer, rows", count, seen);
}

/** Is the body of this DataRow the row of that number? */
function isRow(body: Buffer, number: number, text: Buffer): boolean {
  const id = String(number);
  const head = Buffer.concat([int16(2), int32(id.length), Buffer.from(id), int32(text.length)]);
  return (
    body.length === head.length + text.length && body.indexOf(head) === 0 && body.subarray(head.length).equals(text)
  );
}
