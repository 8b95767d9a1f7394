/**
 * What it costs to recognise a statement: nanoseconds per look-up in a full enough book, on the runtime that runs this file.
 *
 *     node bench/micro/classifier.ts        bun bench/micro/classifier.ts
 *
 * The texts differ in their constants, as those of clients do. Best of several rounds, in
 * processor time: the machine is shared.
 */
import { StatementBook } from "../../src/sharing/statement-book.ts";

const ROUNDS = 7;
const ROUND_MS = 200;
const TEXTS = 512;
/** Other statements in the book beside the one that is looked up. */
const NEIGHBOURS = 500;
const FACTS = {
  userFunctions: new Set<string>(),
  unsafeNames: new Set<string>(),
  unsafeOperators: new Set<string>(),
  refusesAll: null,
};

/** All texts in one memory, as in a client's chunk; where each begins, and where the last one ends. */
interface Texts {
  readonly memory: Uint8Array;
  readonly bounds: Int32Array;
}

function textsOf(make: (i: number) => string): Texts {
  const parts = Array.from({ length: TEXTS }, (_, i) => Buffer.from(make(i)));
  const bounds = new Int32Array(TEXTS + 1);
  for (let i = 0; i < TEXTS; i++) bounds[i + 1] = (bounds[i] as number) + (parts[i] as Buffer).length;
  return { memory: new Uint8Array(Buffer.concat(parts)), bounds };
}

function lookUpAll(book: StatementBook, { memory, bounds }: Texts): number {
  let shareable = 0;
  for (let i = 0; i < TEXTS; i++) {
    const record = book.recordOf(memory, bounds[i] as number, bounds[i + 1] as number, true);
    if (typeof record !== "string" && record.refusal(FACTS) === null) shareable++;
  }
  return shareable;
}

function processorMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

function measure(name: string, texts: Texts): void {
  const book = new StatementBook();
  for (let i = 0; i < NEIGHBOURS; i++) {
    const text = Buffer.from(`select c${i} from t${i} where id = 1`);
    book.recordOf(text, 0, text.length, true);
  }
  let bestNs = Infinity;
  let shareable = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const start = processorMs();
    let rounds = 0;
    let elapsedMs = 0;
    while (elapsedMs < ROUND_MS) {
      shareable = lookUpAll(book, texts);
      rounds++;
      elapsedMs = processorMs() - start;
    }
    bestNs = Math.min(bestNs, (elapsedMs * 1e6) / (rounds * TEXTS));
  }
  const bytes = texts.memory.length / TEXTS;
  console.log(
    `${name.padEnd(34)} ${bytes.toFixed(0).padStart(6)} bytes ${bestNs.toFixed(0).padStart(8)} ns/statement ${(bestNs / bytes).toFixed(2).padStart(6)} ns/byte${shareable === TEXTS ? "" : "  (not shareable)"}`,
  );
}

const runtime = process.versions.bun === undefined ? `Node ${process.versions.node}` : `Bun ${process.versions.bun}`;
console.log(runtime);

measure(
  "pgbench -S",
  textsOf((i) => `SELECT abalance FROM pgbench_accounts WHERE aid = ${10_000 + i * 37};`),
);
measure(
  "pgbench -S, prepared",
  textsOf(() => "SELECT abalance FROM pgbench_accounts WHERE aid = $1;"),
);
measure(
  "a mapper's select, 12 columns",
  textsOf(
    (i) =>
      `SELECT "user"."id" AS "user_id", "user"."name" AS "user_name", "user"."email" AS "user_email", "user"."created_at" AS "user_created_at", "user"."updated_at" AS "user_updated_at", "user"."active" AS "user_active", "group"."id" AS "group_id", "group"."title" AS "group_title" FROM "user" LEFT JOIN "group" ON "group"."id" = "user"."group_id" WHERE "user"."id" = ${i} AND "user"."email" = 'somebody-${i}@example.org' ORDER BY "user"."id" ASC LIMIT 20`,
  ),
);
measure(
  "a comment with a trace number",
  textsOf((i) => `/* trace=00-4bf92f3577b34da6a3ce929d0e0e4736-${i} */ select name from item where id in (1, 2, ${i})`),
);
measure(
  "an insert, refused",
  textsOf((i) => `INSERT INTO history (tid, bid, aid, delta, at) VALUES (${i}, 2, 3, 4, now())`),
);
