/** The comparison behind `npm run compat:differential`: what it finds, what it lets pass, what it takes out. */
import { describe, expect, test } from "vitest";
import { compareSteps, differenceText, type ExpectedDifference, judge } from "../../compat/differential/compare.ts";
import { renderMessage } from "../../compat/differential/render-message.ts";
import { TranscriptWords } from "../../compat/differential/transcript-words.ts";

const step = (title: string, ...lines: string[]): { title: string; lines: string[] } => ({ title, lines });
const texts = (theirs: string[], ours: string[]): string[] =>
  compareSteps("s", [step("log", ...theirs)], [step("log", ...ours)]).map(differenceText);

describe("differences", () => {
  test("equal steps have none", () => expect(texts(["a", "b"], ["a", "b"])).toEqual([]));

  test("as many lines here as there are a difference each", () => {
    expect(texts(["a", "b", "c"], ["x", "y", "c"])).toEqual(["log:\n- a\n+ x", "log:\n- b\n+ y"]);
  });

  test("lines that only one has", () => {
    expect(texts(["a", "b"], ["b", "c"])).toEqual(["log:\n- a", "log:\n+ c"]);
  });

  test("a step that only one has reached", () => {
    expect(compareSteps("s", [step("one")], []).map(differenceText)).toEqual(["one:\n+ (this step was not reached)"]);
  });

  test("names that PgBouncer does not know yet are not compared", () => {
    expect(texts(["LOG C (nodb)/(nouser)@127.0.0.1:1 x"], ["LOG C shop/app@127.0.0.1:1 x"])).toEqual([]);
    expect(texts(["LOG C shop/(nouser)@127.0.0.1:1 x"], ["LOG C shop/app@127.0.0.1:1 x"])).toEqual([]);
    expect(texts(["LOG C shop/(nouser)@127.0.0.1:1 x"], ["LOG C other/app@127.0.0.1:1 x"])).toHaveLength(1);
    expect(texts(["LOG C (nodb)/(nouser)@127.0.0.1:1 x"], ["LOG C shop/app@127.0.0.1:1 y"])).toHaveLength(1);
  });
});

describe("expected differences", () => {
  const expectation = (what: RegExp, scenario: string | RegExp = "s"): ExpectedDifference => ({
    scenario,
    what,
    reason: "a test",
  });
  const found = compareSteps("s", [step("log", "a")], [step("log", "x", "y")]);

  test("cover a difference as a whole, or each of its lines", () => {
    expect(judge(found, [expectation(/^log:\n- a\n\+ x\n\+ y$/)], ["s"]).unexpected).toEqual([]);
    expect(judge(found, [expectation(/\n- a$/), expectation(/\n\+ [xy]$/)], ["s"]).unexpected).toEqual([]);
  });

  test("do not cover what they do not name", () => {
    expect(judge(found, [expectation(/\n- a$/), expectation(/\n\+ x$/)], ["s"]).unexpected).toHaveLength(1);
    expect(judge(found, [expectation(/a/, "another")], ["s"]).unexpected).toHaveLength(1);
  });

  test("are stale when they are not seen, but not when their scenario was left out", () => {
    const never = expectation(/never/);
    expect(judge(found, [never], ["s"]).stale).toEqual([never]);
    expect(judge([], [never], ["another"]).stale).toEqual([]);
  });
});

test("what belongs to one run is taken out", () => {
  const words = new TranscriptWords([
    ["/tmp/pgc-b-1", "FOLDER"],
    ["6432", "PORT"],
  ]);
  expect(words.text("unix:/tmp/pgc-b-1/.s.PGSQL.6432 16432 6432")).toBe("unix:FOLDER/.s.PGSQL.PORT 16432 PORT");
  expect(words.consoleCell("ptr", "0x55d", [])).toBe("ptr=*");
  expect(words.consoleCell("link", "", [])).toBe("link=");
  expect(words.consoleCell("host", null, [])).toBe("host=NULL");
  expect(words.consoleCell("total_query_count", "7", ["shop"])).toBe("total_query_count=7");
  const at = "2026-01-02 03:04:05.678 UTC [12]";
  const log = [
    `${at} LOG S-0x1: p/app@127.0.0.1:5 closing because: x (age=3s)`,
    `${at} LOG C-0x2: pgbouncer/spy@127.0.0.1:5 login attempt`,
    `${at} WARNING C-0x2: p/app@127.0.0.1:5 pooler error: y`,
    `${at} LOG C-0x2: p/app@127.0.0.1:5 closing because: y (age=0s)`,
  ];
  expect(words.log(`${log.join("\n")}\n`)).toEqual([
    "WARNING C p/app@127.0.0.1:EPHEMERAL pooler error: y",
    "LOG C p/app@127.0.0.1:EPHEMERAL closing because: y (age)",
    "LOG S p/app@127.0.0.1:EPHEMERAL closing because: x (age)",
  ]);
});

test("an error's fields are lines: what is added to it is a difference of its own", () => {
  const body = Buffer.from("SFATAL\0C08P01\0Mno\0Hdo\0\0");
  expect(renderMessage({ type: "E", body }, [], String)).toEqual(["E FATAL 08P01 no", 'E  H="do"']);
});
