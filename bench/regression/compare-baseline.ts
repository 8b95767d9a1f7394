/**
 * Are today's figures worse than those that were kept? Pure.
 *
 * Counts are strict. What a neighbour on the machine can change, how many statements ride together, may be much worse before
 * it fails: the bench is for small differences, this is for mistakes.
 */

/** By name: "node simple 64/4 clientWrites". The last word is the kind. */
export type Figures = Record<string, number>;

interface Tolerance {
  readonly factor: number;
  readonly more: number;
}

/** A figure may be `factor` times the kept one and `more`. */
const TOLERANCES: Readonly<Record<string, Tolerance>> = {
  clientReads: { factor: 1, more: 0.005 },
  clientWrites: { factor: 1, more: 0.005 },
  serverReads: { factor: 1, more: 0.005 },
  serverWrites: { factor: 1, more: 0.005 },
  steps: { factor: 1, more: 0.005 },
  turnsOfRound: { factor: 1, more: 0.5 },
  bytes: { factor: 1.4, more: 32 },
  // On real sockets: one answer may come in two chunks now and then; how many statements find each other is the machine's to
  // say, and still more so how many of PostgreSQL's answers are there at once. Without sharing both are 1.
  socketClientReads: { factor: 1, more: 0.05 },
  socketClientWrites: { factor: 1, more: 0.05 },
  socketServerReads: { factor: 1, more: 0.9 },
  socketServerWrites: { factor: 2, more: 0.2 },
};

export interface Comparison {
  /** Why it fails: one sentence each. */
  readonly regressions: readonly string[];
  /** Where the baseline could be renewed: exact figures that are better now, and new ones. */
  readonly remarks: readonly string[];
}

export function compareWithBaseline(today: Figures, kept: Figures): Comparison {
  const regressions: string[] = [];
  const remarks: string[] = [];
  for (const [name, before] of Object.entries(kept)) {
    const now = today[name];
    const tolerance = toleranceOf(name);
    if (now === undefined) {
      regressions.push(`${name}: was not measured`);
      continue;
    }
    const limit = before * tolerance.factor + tolerance.more;
    if (!(now <= limit)) {
      const percent = before === 0 ? "" : ` (${now >= before ? "+" : ""}${Math.round((now / before - 1) * 100)} %)`;
      regressions.push(`${name}: ${print(now)}, was ${print(before)}${percent}; at most ${print(limit)}`);
    } else if (tolerance.factor === 1 && now < before - tolerance.more) {
      remarks.push(`${name}: ${print(now)}, was ${print(before)}: better, the baseline can be renewed`);
    }
  }
  for (const [name, now] of Object.entries(today)) {
    if (!Object.hasOwn(kept, name)) remarks.push(`${name}: ${print(now)}, not in the baseline`);
  }
  return { regressions, remarks };
}

function toleranceOf(name: string): Tolerance {
  const kind = name.slice(name.lastIndexOf(" ") + 1);
  const tolerance = TOLERANCES[kind];
  if (tolerance === undefined) throw new Error(`${name}: a figure of an unknown kind`);
  return tolerance;
}

function print(value: number): string {
  return value.toFixed(value >= 100 ? 0 : 3);
}
