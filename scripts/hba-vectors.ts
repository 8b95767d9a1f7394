/**
 * Evaluates PgBouncer's own table of HBA questions and answers: `hba-vectors.ts PATH-TO-PGBOUNCER-CHECKOUT`. Reads
 * test/hba_test.rules and test/hba_test.eval there, prints every answer that differs and how many agree, and exits with 1
 * when one differs or a rule cannot be read.
 *
 * A line of the table: METHOD, DATABASE, USER, ADDRESS or `unix`, and perhaps `tls` or `replication`, with tabs between.
 * `reject` also stands for "no rule matches".
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseHba } from "../src/auth/hba-file.ts";
import type { HbaRules } from "../src/auth/hba-rules.ts";

const checkout = process.argv[2];
if (checkout === undefined) {
  console.error("usage: hba-vectors.ts PATH-TO-PGBOUNCER-CHECKOUT");
  process.exit(2);
}

const rulesPath = join(checkout, "test", "hba_test.rules");
const { rules, problems } = parseHba(readFileSync(rulesPath, "utf8"), {
  fileName: rulesPath,
  readFile: readFileSync,
  identMaps: new Map(),
});
for (const problem of problems) console.error(problem);

let agreed = 0;
let differed = 0;
const table = readFileSync(join(checkout, "test", "hba_test.eval"), "utf8");
for (const [index, line] of table.split("\n").entries()) {
  if (line.startsWith("#")) continue;
  const [expected, database, user, address, modifier] = line.split(/\t+/);
  if (!expected || database === undefined || user === undefined || address === undefined) continue;
  const got = answer(rules, database, user, address, modifier);
  if (got === expected) {
    agreed += 1;
  } else {
    differed += 1;
    console.log(`line ${index + 1}: expected ${expected}, got ${got}: ${line}`);
  }
}
console.log(`${rules.count} rules, ${problems.length} problems; ${agreed} of ${agreed + differed} answers agree`);
process.exitCode = differed === 0 && agreed > 0 && problems.length === 0 ? 0 : 1;

function answer(
  rules: HbaRules,
  database: string,
  user: string,
  address: string,
  modifier: string | undefined,
): string {
  const isUnixSocket = address === "unix";
  const rule = rules.evaluate({
    isUnixSocket,
    address: isUnixSocket ? "" : address,
    tls: modifier === "tls",
    database,
    user,
    replication: modifier === "replication" ? "yes" : "no",
  });
  return rule?.method ?? "reject";
}
