/** Two transcripts of one scenario, step by step: where they differ, and which of the differences are known. */

/** What one step did: each line is a message, a log line, a fact. */
export interface TranscriptStep {
  readonly title: string;
  readonly lines: readonly string[];
}

/** Lines next to each other that are not the same. */
export interface Difference {
  readonly scenario: string;
  readonly step: string;
  readonly theirs: readonly string[];
  readonly ours: readonly string[];
}

/** A difference that is meant. */
export interface ExpectedDifference {
  /** The scenario's full name, or a pattern for several. */
  readonly scenario: string | RegExp;
  /** Must match the difference as `differenceText` writes it: the whole of it, or each of its lines by itself. */
  readonly what: RegExp;
  readonly reason: string;
  /** Absent: on both runtimes. */
  readonly runtime?: "node" | "bun";
}

export function compareSteps(
  scenario: string,
  theirs: readonly TranscriptStep[],
  ours: readonly TranscriptStep[],
): Difference[] {
  const titles = [...new Set([...theirs, ...ours].map(({ title }) => title))];
  const linesIn = (steps: readonly TranscriptStep[], title: string): readonly string[] =>
    steps.find((step) => step.title === title)?.lines ?? ["(this step was not reached)"];
  return titles.flatMap((title) =>
    compareLines(linesIn(theirs, title), linesIn(ours, title)).map((hunk) => ({
      scenario,
      step: title,
      theirs: hunk.theirs,
      ours: hunk.ours,
    })),
  );
}

/** For people, and for the patterns of expected differences: the step, then a line for each line that is not common. */
export function differenceText({ step, theirs, ours }: Difference): string {
  return [`${step}:`, ...theirs.map((line) => `- ${line}`), ...ours.map((line) => `+ ${line}`)].join("\n");
}

export interface Verdict {
  readonly unexpected: readonly Difference[];
  /** Expected ones that stayed away, among those whose scenario was played. */
  readonly stale: readonly ExpectedDifference[];
  /** How often each expectation came true, in their order. */
  readonly counts: ReadonlyMap<ExpectedDifference, number>;
}

export function judge(
  differences: readonly Difference[],
  expected: readonly ExpectedDifference[],
  played: readonly string[],
): Verdict {
  const counts = new Map(expected.map((expectation) => [expectation, 0]));
  const unexpected = differences.filter((difference) => {
    const mine = expected.filter(({ scenario }) => isOf(scenario, difference.scenario));
    const find = (part: Difference): ExpectedDifference | undefined =>
      mine.find(({ what }) => what.test(differenceText(part)));
    const whole = find(difference);
    const found = whole === undefined ? linesOf(difference).map(find) : [whole];
    for (const one of found) if (one !== undefined) counts.set(one, (counts.get(one) ?? 0) + 1);
    return found.includes(undefined);
  });
  const stale = expected.filter(
    (expectation) => counts.get(expectation) === 0 && played.some((name) => isOf(expectation.scenario, name)),
  );
  return { unexpected, stale, counts };
}

/** A difference for each line. */
function linesOf(difference: Difference): Difference[] {
  return [
    ...difference.theirs.map((line) => ({ ...difference, theirs: [line], ours: [] })),
    ...difference.ours.map((line) => ({ ...difference, theirs: [], ours: [line] })),
  ];
}

function isOf(scenario: string | RegExp, name: string): boolean {
  return typeof scenario === "string" ? scenario === name : scenario.test(name);
}

/** The hunks of a longest common subsequence. */
function compareLines(theirs: readonly string[], ours: readonly string[]): Pick<Difference, "theirs" | "ours">[] {
  const common = commonLengths(theirs, ours);
  const hunks: { theirs: string[]; ours: string[] }[] = [];
  let open: { theirs: string[]; ours: string[] } | null = null;
  let [left, right] = [0, 0];
  while (left < theirs.length || right < ours.length) {
    if (left < theirs.length && right < ours.length && isSame(theirs[left]!, ours[right]!)) {
      open = null;
      left += 1;
      right += 1;
      continue;
    }
    if (open === null) {
      open = { theirs: [], ours: [] };
      hunks.push(open);
    }
    const skipTheirs = common[left + 1]?.[right] ?? -1;
    const skipOurs = common[left]?.[right + 1] ?? -1;
    if (skipTheirs >= skipOurs) open.theirs.push(theirs[left++]!);
    else open.ours.push(ours[right++]!);
  }
  // As many here as there: each line is a difference of its own, so that a known one hides no other.
  return hunks.flatMap((hunk) =>
    hunk.theirs.length === hunk.ours.length
      ? hunk.theirs.map((line, at) => ({ theirs: [line], ours: [hunk.ours[at]!] }))
      : [hunk],
  );
}

/**
 * PgBouncer's log says `(nodb)/(nouser)` of a client until its database and user are found; ours says what was asked for as
 * soon as it was read. Nothing is compared there.
 */
function isSame(theirs: string, ours: string): boolean {
  if (theirs === ours) return true;
  if (!/^\w+ C (?:\(nodb\)|.*\/\(nouser\)@)/.test(theirs)) return false;
  const pattern = theirs.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
  return new RegExp(`^${pattern.replace("\\(nodb\\)", ".*").replace("\\(nouser\\)", ".*")}$`).test(ours);
}

/** At [left][right]: how many lines the rests from there have in common. */
function commonLengths(theirs: readonly string[], ours: readonly string[]): number[][] {
  const table = Array.from({ length: theirs.length + 1 }, () => Array.from({ length: ours.length + 1 }, () => 0));
  for (let left = theirs.length - 1; left >= 0; left -= 1) {
    for (let right = ours.length - 1; right >= 0; right -= 1) {
      table[left]![right] = isSame(theirs[left]!, ours[right]!)
        ? table[left + 1]![right + 1]! + 1
        : Math.max(table[left + 1]![right]!, table[left]![right + 1]!);
    }
  }
  return table;
}
