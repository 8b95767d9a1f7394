/** Which texts may be kept prepared for who parses them without a name, from when on, and that nothing is kept for ever. */
import { describe, expect, test } from "vitest";
import { AnonymousTexts, isKeepable } from "../../../src/state/anonymous-texts.ts";
import { StatementStore } from "../../../src/state/prepared-statement.ts";

const body = (text: string, types = "\0\0"): Uint8Array => Buffer.from(`${text}\0${types}`, "latin1");

describe("texts that may be kept", () => {
  test.each([
    "select 1",
    "SELECT * FROM t WHERE a = $1",
    "  -- who\n/* what */ select now()",
    "select now () - a from t",
    "insert into t values ($1, 'x;y')".replace(";", ","),
    "with x as (select 1) select * from x",
    "update t set a = $1;",
    "delete from t",
    "values (1)",
    "select knowledge from t",
  ])("%j", (text) => {
    expect(isKeepable(text)).toBe(true);
  });

  test.each([
    "",
    "begin",
    "set a = 1",
    "create table t (a int)",
    "copy t from stdin",
    "explain select 1",
    "select 1; select 2",
    "select 'now'::timestamptz",
    "select timestamp 'Today'",
    "select date 'tomorrow', date 'yesterday'",
    "select E'n\\x6fw'::timestamptz",
    "select * into x from t",
    "/* c */ select 1 into temp x",
    "declare c cursor for select 1",
    "selection",
  ])("never: %j", (text) => {
    expect(isKeepable(text)).toBe(false);
  });
});

describe("a pool's texts", () => {
  test("one is kept from the fifth time on, the same for all, by text, types and settings", () => {
    const store = new StatementStore();
    const texts = new AnonymousTexts(store);
    const ask = (text: string, types?: string, settings = "a") =>
      texts.statementFor(body(text, types), text.length, settings);
    for (let times = 1; times < 5; times++) expect(ask("select $1")).toBeNull();
    const kept = ask("select $1");
    expect(kept).not.toBeNull();
    expect(ask("select $1")).toBe(kept);
    expect(ask("select $1", "\0\x01\0\0\0\x17")).toBeNull();
    const other = ask("select $1", undefined, "b");
    expect(other).not.toBe(kept);
    expect(other?.settings).toBe("b");
    texts.clear();
    expect(store.size).toBe(0);
  });

  test("one that must not be kept is not, however often it comes", () => {
    const texts = new AnonymousTexts(new StatementStore());
    for (let times = 0; times < 20; times++) expect(texts.statementFor(body("select 'now'"), 12, "")).toBeNull();
  });

  test("a flood of texts takes a bounded room, and leaves no statement behind", () => {
    const store = new StatementStore();
    const texts = new AnonymousTexts(store);
    for (let times = 0; times < 5; times++) texts.statementFor(body("select 1"), 8, "");
    expect(store.size).toBe(1);
    for (let at = 0; at < 2000; at++) texts.statementFor(body(`select ${at} + 1`), 20, "");
    expect(store.size).toBe(0);
  });
});
