/**
 * `npm run soak -- [--minutes N] [--node|--bun] [--seed N] …`: hours of a busy day in front of a real PostgreSQL, in minutes:
 * a crowd of clients with checked answers, faults, and an audit when everybody has left.
 *
 * Exit status 0 when everything was right, 1 when not, 2 for a wrong command line. SIGINT and SIGTERM end it before its
 * time, with the audit.
 */
import { endWithLauncher } from "../../src/demo/lifeline.ts";
import { soak } from "./soak.ts";
import { parseSoakOptions, type SoakOptions, soakUsage } from "./soak-options.ts";

const ended = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => ended.abort());
endWithLauncher();

let options: SoakOptions | null = null;
try {
  options = parseSoakOptions(process.argv.slice(2));
} catch (error) {
  console.error(`${(error as Error).message}\n${soakUsage}`);
  process.exitCode = 2;
}
if (options !== null) {
  const isFine = await soak(options, ended.signal, (line) => console.log(line));
  process.exit(isFine ? 0 : 1);
}
