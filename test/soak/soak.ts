/** One soak from beginning to end: the stage, the actors, the time, the check that all works again, the audit, the summary. */
import { Random } from "../sim/random.ts";
import { audit, socketsOf } from "./final-audit.ts";
import { FaultMaker } from "./fault-maker.ts";
import { PoolerWatch } from "./pooler-watch.ts";
import { changeSchema } from "./schema-changer.ts";
import { SoakClient } from "./soak-client.ts";
import type { SoakOptions } from "./soak-options.ts";
import { SoakRun } from "./soak-run.ts";
import { startStage } from "./soak-stage.ts";

const lineEveryMs = 10_000;
const silenceLookMs = 1000;

/** Returns whether nothing was wrong. `ended` ends it before its time. */
export async function soak(options: SoakOptions, ended: AbortSignal, print: (line: string) => void): Promise<boolean> {
  const stage = await startStage(options);
  try {
    const run = new SoakRun(options, stage, print);
    if (ended.aborted) run.end();
    ended.addEventListener("abort", () => run.end());
    await play(run);
    // Rejects when the pooler's log shows a defect, or when it does not end.
    await stage.bouncer.stop().catch((error: unknown) => run.fail(`the pooler's end: ${String(error).slice(0, 2000)}`));
    print(
      run.failures.length === 0 ? "soak passed" : `soak FAILED: ${run.failures.length} failures, seed ${options.seed}`,
    );
    return run.failures.length === 0;
  } finally {
    await stage.bouncer.stop().catch(() => undefined);
    await stage.cluster.stop();
  }
}

async function play(run: SoakRun): Promise<void> {
  const { options, stage } = run;
  const { bouncer } = stage;
  const random = new Random(options.seed);
  const socketsAtFirst = socketsOf(bouncer.pid);
  // One more than the crowd: the newcomer who tries everything when it has left.
  const everybody = Array.from(
    { length: options.clients + 1 },
    (_, number) => new SoakClient(number, random.fork(), run),
  );
  const clients = everybody.slice(0, -1);
  const newcomer = everybody.at(-1) as SoakClient;
  const watch = new PoolerWatch(run);
  const faults = new FaultMaker(run, random.fork(), clients);
  void bouncer.exited.then((exit) => {
    if (!run.isOver) run.fail(`the pooler ended: ${JSON.stringify(exit)}`);
    run.end();
  });
  const timers = [
    setTimeout(() => run.end(), run.durationMs),
    setInterval(() => run.print(`${run.tally.line()}; ${watch.figures}`), lineEveryMs),
    setInterval(() => {
      for (const client of everybody) client.refuseSilence();
    }, silenceLookMs),
  ];
  run.print(`seed ${options.seed}, ${options.runtime}, ${options.clients} clients, pooler ${bouncer.pid}`);
  try {
    await Promise.all([
      ...clients.map((client) => client.live()),
      changeSchema(run, random.fork()),
      watch.live(),
      ...(options.faults ? [faults.live()] : []),
    ]);
    await newcomer.runAll().catch((error: unknown) => run.fail(`when all had left: ${String(error)}`));
  } finally {
    for (const timer of timers) clearTimeout(timer);
  }
  run.print(`over: ${run.tally.line()}`);
  await audit(
    run,
    everybody.map(({ ledger }) => ledger),
    socketsAtFirst,
  );
  const written = everybody.map(({ ledger }) => ledger.counts());
  const total = (of: "there" | "doubtful"): number => written.reduce((sum, counts) => sum + counts[of], 0);
  for (const line of run.tally.summary()) run.print(line);
  run.print(`writes:     ${total("there")} acknowledged, ${total("doubtful")} in doubt, all compared`);
  run.print(watch.judge());
}
