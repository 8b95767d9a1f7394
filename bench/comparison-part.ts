/**
 * pgcarpool with a setting and without it: does sharing cost those who cannot share, and what do deferred BEGIN and plans
 * for anonymous statements bring. Both settings of both runtimes stand in one case, so that a ratio within a round is the
 * setting's alone.
 */
import type { LoadCase, SeatKey, Variant } from "./bench-results.ts";
import { type LoadSpecification, type LoadTools, poolersOfCase, runBriefly, runLoadCase } from "./load-part.ts";
import { Part, Protocol, SeatName } from "./options.ts";
import { Workload } from "./workload.ts";

interface Comparison {
  readonly load: LoadSpecification;
  readonly poolSize: number;
  /** The first is what the others are compared with. */
  readonly variants: readonly Variant[];
  /** So much of what the slowest seat can do is the rate of all. */
  readonly rateFraction?: number;
}

/** For a case that will say of every seat why it was not measured. */
const RATE_OF_NOBODY = 1000;

function setTo(name: string, ...values: (string | number)[]): Variant[] {
  return values.map((value) => ({ name: `${name} = ${value}`, settings: [`${name} = ${value}`] }));
}

const SHARING = setTo("sharing", 0, 1);
const { simple, extended, prepared } = Protocol;

const COMPARISONS: readonly Comparison[] = [
  // Nothing to share: there is a server for everybody.
  ...[simple, prepared].map((protocol) => ({
    load: { part: Part.few, workload: Workload.select, protocol, clients: 8 },
    poolSize: 20,
    variants: SHARING,
  })),
  // Among short statements one of 100 ms a second: one that may not be shared, and one that looks like the short ones.
  ...[
    { workload: Workload.select, beside: Workload.sleep },
    { workload: Workload.quickCount, beside: Workload.slowCount },
  ].map((load) => ({
    load: { ...load, part: Part.mixed, protocol: prepared, clients: 64, everyLatency: true, secondsMin: 5 },
    poolSize: 4,
    variants: SHARING,
    rateFraction: 0.5,
  })),
  // Nothing that may be shared.
  ...[Workload.tpcB, Workload.insert].map((workload) => ({
    load: { part: Part.alone, workload, protocol: simple, clients: 64 },
    poolSize: 4,
    variants: SHARING,
  })),
  ...[Workload.tpcB, Workload.readTransaction].map((workload) => ({
    load: { part: Part.begin, workload, protocol: simple, clients: 64 },
    poolSize: 4,
    variants: setTo("deferred_begin", 0, 10), // milliseconds
  })),
  {
    load: { part: Part.anonymous, workload: Workload.select, protocol: extended, clients: 64 },
    poolSize: 4,
    variants: setTo("anonymous_statements", 0, 1),
  },
];

/** Runs the comparisons of one part. */
export async function runComparisons(tools: LoadTools, part: Part): Promise<LoadCase[] | string> {
  const cases: LoadCase[] = [];
  for (const { load, poolSize, variants, rateFraction } of COMPARISONS) {
    if (load.part !== part) continue;
    const keys = poolersOfCase(tools.options, poolSize)
      .filter(({ seat }) => seat !== SeatName.pgbouncer)
      .flatMap((key) => variants.map((variant) => Object.assign({ variant }, key)));
    if (keys.length === 0) return `${part}: compares settings of pgcarpool, which is not there`;
    const ratePerSecond = rateFraction === undefined ? null : rateFraction * (await slowestBest(tools, load, keys));
    cases.push(
      await runLoadCase(
        tools,
        ratePerSecond === null ? load : { ...load, ratePerSecond: Math.round(ratePerSecond) },
        keys,
      ),
    );
  }
  return cases;
}

/** Of the seats that can do it at all; whoever cannot says so in the case itself. */
async function slowestBest(tools: LoadTools, load: LoadSpecification, keys: readonly SeatKey[]): Promise<number> {
  const { part, workload, protocol, clients } = load;
  const rates: number[] = [];
  for (const key of keys) {
    const result = await runBriefly(tools, { part, workload, protocol, clients }, key);
    if (result !== null) rates.push(result.tps);
  }
  return rates.length === 0 ? RATE_OF_NOBODY : Math.min(...rates);
}
