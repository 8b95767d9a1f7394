/**
 * The simulator by hand.
 *
 *     node test/sim/main.ts --seeds 100000 --from 1     many seeds; stops at the first one that breaks a law
 *     node test/sim/main.ts --seed 4711                 one seed, with everything that happened in it
 *     --engine relay|pooler                             which engine (default: pooler)
 */
import { parseArgs } from "node:util";
import { engineNamed } from "./engine-names.ts";
import { run } from "./run.ts";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "1000" },
    from: { type: "string", default: "1" },
    seed: { type: "string" },
    engine: { type: "string", default: "pooler" },
    keepGoing: { type: "boolean", default: false },
  },
});

const kind = engineNamed(values.engine);

if (values.seed !== undefined) {
  const report = await run(Number(values.seed), { kind, tracing: true });
  for (const line of report.lines) console.log(line);
  console.log(report.scenario);
  console.log({ ...report, lines: report.lines.length, scenario: undefined });
  process.exitCode = report.violations.length > 0 ? 1 : 0;
} else {
  const from = Number(values.from);
  const count = Number(values.seeds);
  const started = performance.now();
  let failed = 0;
  let statements = 0;
  let turns = 0;
  let hits = 0;
  let spared = 0;
  const outcomes = new Map<string, number>();
  const sharing = new Map<string, number>();
  for (let seed = from; seed < from + count; seed++) {
    const report = await run(seed, { kind });
    statements += report.statements;
    turns += report.turns;
    hits += report.cancelsHit;
    spared += report.spared;
    add(outcomes, report.outcomes);
    add(sharing, report.sharing);
    if (report.violations.length === 0) continue;
    failed++;
    console.log(`seed ${seed} breaks a law:\n  ${report.violations.slice(0, 5).join("\n  ")}`);
    console.log(`  again: node test/sim/main.ts --engine ${kind.name} --seed ${seed}`);
    if (!values.keepGoing) break;
  }
  const seconds = (performance.now() - started) / 1000;
  console.log(
    `${count} seeds, ${failed} failed, ${statements} statements, ${turns} turns, ${hits} cancels hit, ${spared} statements cancelled waiting, ${seconds.toFixed(1)} s`,
  );
  for (const figures of [sharing, outcomes]) print(figures);
  process.exitCode = failed > 0 ? 1 : 0;
}

function add(sums: Map<string, number>, figures: ReadonlyMap<string, number>): void {
  for (const [name, times] of figures) sums.set(name, (sums.get(name) ?? 0) + times);
}

function print(figures: ReadonlyMap<string, number>): void {
  for (const [name, times] of [...figures].sort((a, b) => b[1] - a[1]))
    console.log(`${String(times).padStart(8)} ${name}`);
}
