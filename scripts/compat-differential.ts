/**
 * `npm run compat:differential -- [--bun] [--only WORD] [--keep FOLDER] PGBOUNCER`: one list of scenarios, played against a
 * PgBouncer executable (release 1.25.2 is the one whose behaviour is followed) and against bin/pgcarpool.
 *
 * Each stands in front of a PostgreSQL of its own, both made from one template, with the same configuration files. What they
 * answer is compared line by line after ports, process ids, times and the like are taken out. Differences that are meant
 * stand, with their reasons, in test/compat/differential/expected-differences.ts; any other fails, and so does one that is
 * not seen any more.
 *
 * `--only` plays the scenarios whose full names (`group: scenario`) contain the word, and then misses no expected difference.
 * `--keep` writes what was compared to a folder. The exit status is 0 when nothing unexpected was found.
 */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { endWithLauncher } from "../src/demo/lifeline.ts";
import { compareSteps, differenceText, judge, type TranscriptStep } from "../test/compat/differential/compare.ts";
import { expectedDifferences } from "../test/compat/differential/expected-differences.ts";
import { makePlace, playGroup, removePlace, type Transcripts } from "../test/compat/differential/play.ts";
import { scenarioGroups } from "../test/compat/differential/scenarios/all-groups.ts";
import type { Place, ScenarioGroup } from "../test/compat/differential/stage.ts";

/** One of the two, with a PostgreSQL of its own, so that both can play at the same time. */
class Player {
  readonly place: Place;
  readonly transcripts: Transcripts = new Map();
  readonly #executable: string;

  constructor(executable: string, place: Place) {
    this.#executable = executable;
    this.place = place;
  }

  async play(group: ScenarioGroup): Promise<void> {
    const played = await playGroup(group, { executable: this.#executable, runtime }, this.place, wanted);
    for (const [name, steps] of played) {
      this.transcripts.set(name, steps);
      if (keep !== null) this.#keep(join(keep, basename(this.#executable)), name, steps);
    }
  }

  stepsOf(name: string): readonly TranscriptStep[] {
    return this.transcripts.get(name) ?? [];
  }

  #keep(folder: string, name: string, steps: readonly TranscriptStep[]): void {
    mkdirSync(folder, { recursive: true });
    const text = steps.map(({ title, lines }) => `${title}:\n${lines.map((line) => `  ${line}\n`).join("")}`).join("");
    writeFileSync(join(folder, `${name.replaceAll(/\W+/g, "-")}.txt`), text);
  }
}

endWithLauncher();
const root = dirname(dirname(fileURLToPath(import.meta.url)));
const args = process.argv.slice(2);
const runtime = flag("--bun") ? "bun" : "node";
const only = valueOf("--only") ?? "";
const keep = valueOf("--keep");
const [pgbouncer, ...more] = args;
if (pgbouncer === undefined || more.length > 0) {
  refuse("usage: npm run compat:differential -- [--bun] [--only WORD] [--keep FOLDER] PGBOUNCER");
}
if (!existsSync(pgbouncer)) refuse(`${pgbouncer} does not exist`);

const startedMs = performance.now();
const wanted = (name: string): boolean => name.includes(only);
const theirs = new Player(resolve(pgbouncer), await makePlace());
const ours = new Player(join(root, "bin", "pgcarpool"), await makePlace());
try {
  for (const group of scenarioGroups) await Promise.all([theirs.play(group), ours.play(group)]);
} finally {
  await removePlace(theirs.place);
  await removePlace(ours.place);
}
process.exit(report() ? 0 : 1);

function report(): boolean {
  const names = [...theirs.transcripts.keys()];
  const differences = names.flatMap((name) => compareSteps(name, theirs.stepsOf(name), ours.stepsOf(name)));
  const expected = expectedDifferences.filter((one) => one.runtime === undefined || one.runtime === runtime);
  const verdict = judge(differences, expected, names);
  const { unexpected, counts } = verdict;
  // What holds for many scenarios need not be seen in a few.
  const stale = only === "" ? verdict.stale : [];
  for (const difference of unexpected) {
    console.log(`\nDIFFERENT in ${difference.scenario}\n${differenceText(difference)}`);
  }
  for (const { scenario, what } of stale)
    console.log(`\nexpected and not seen in ${String(scenario)}: ${String(what)}`);
  const steps = names.reduce((sum, name) => sum + theirs.stepsOf(name).length, 0);
  const known = [...counts.values()].reduce((sum, count) => sum + count, 0);
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(0);
  console.log(
    `\n${names.length} scenarios, ${steps} steps on ${runtime} in ${seconds} s: ${unexpected.length} unexpected differences, ` +
      `${known} expected ones for ${counts.size} reasons, ${stale.length} expected and not seen`,
  );
  return unexpected.length === 0 && stale.length === 0 && steps > 0;
}

function flag(word: string): boolean {
  const at = args.indexOf(word);
  if (at !== -1) args.splice(at, 1);
  return at !== -1;
}

function valueOf(word: string): string | null {
  const at = args.indexOf(word);
  return at === -1 ? null : (args.splice(at, 2)[1] ?? refuse(`${word} needs a value`));
}

function refuse(text: string): never {
  console.error(text);
  process.exit(2);
}
