/** Tags are compared whole. */

import { describe, expect, test } from "vitest";
import { commandComplete } from "../../../src/protocol/backend-messages.ts";
import {
  DEALLOCATE_ALL,
  DISCARD_ALL,
  hasCommandTag,
  isDdlTag,
  makeCommandTag,
} from "../../../src/protocol/command-tag.ts";

const has = (text: string, tag = DISCARD_ALL) => {
  // In the middle of other bytes, as in a chunk.
  const message = commandComplete(text);
  const buf = new Uint8Array(message.length + 40).fill(0x41);
  buf.set(message, 17);
  return hasCommandTag(buf, 17, message.length, tag);
};

describe("command tags", () => {
  test("the same tag", () => {
    expect(has("DISCARD ALL")).toBe(true);
    expect(has("DEALLOCATE ALL", DEALLOCATE_ALL)).toBe(true);
    expect(has("", makeCommandTag(""))).toBe(true);
  });

  test.each(["DISCARD ALLX", "DISCARD AL", "DISCARD", "", "discard all", "DISCARD TEM", "XISCARD ALL", "SELECT 1"])(
    "%j is another",
    (text) => {
      expect(has(text)).toBe(false);
    },
  );

  test("a prefix is not the tag", () => {
    expect(has("PREPARE TRANSACTION", makeCommandTag("PREPARE"))).toBe(false);
    expect(has("ROLLBACK PREPARED", makeCommandTag("ROLLBACK"))).toBe(false);
  });

  test("bytes behind the tag's zero byte make it another message", () => {
    const message = Uint8Array.from([...commandComplete("DISCARD ALL"), 0]);
    expect(hasCommandTag(message, 0, message.length, DISCARD_ALL)).toBe(false);
  });

  test("a message cut off by the memory's end is no match and no fault", () => {
    const message = commandComplete("DISCARD ALL");
    expect(hasCommandTag(message.subarray(0, 12), 0, message.length, DISCARD_ALL)).toBe(false);
  });
});

describe("tags of DDL", () => {
  const isDdl = (text: string) => {
    const message = commandComplete(text);
    const buf = new Uint8Array(message.length + 40).fill(0x41);
    buf.set(message, 17);
    return isDdlTag(buf, 17, message.length);
  };

  test.each([
    "CREATE VIEW",
    "CREATE FUNCTION",
    "CREATE RULE",
    "CREATE POLICY",
    "CREATE FOREIGN TABLE",
    "ALTER TABLE",
    "ALTER VIEW",
    "CREATE EXTENSION",
    "IMPORT FOREIGN SCHEMA",
  ])("%s", (text) => {
    expect(isDdl(text)).toBe(true);
  });

  test.each(
    [
      "SELECT 1",
      "INSERT 0 1",
      "COMMENT",
      "GRANT",
      "REFRESH MATERIALIZED VIEW",
      "SECURITY LABEL",
      "COPY 5",
      "CLOSE CURSOR",
    ].concat([
      "COMMIT",
      "DISCARD ALL",
      "DEALLOCATE",
      "DECLARE CURSOR",
      "DO",
      "ANALYZE",
      "",
      "CREATE",
      "DROP",
      "DROP VIEW",
      "CREATE TABLE",
      "CREATE TABLE AS",
      "CREATE INDEX",
      "CREATED",
      "create table",
    ]),
  )("%j is none", (text) => {
    expect(isDdl(text)).toBe(false);
  });

  test("a tag cut short is none, whatever stands behind it", () => {
    const whole = commandComplete("CREATE VIEW");
    for (let size = 0; size < 5 + "CREATE ".length; size++) expect(isDdlTag(whole, 0, size)).toBe(false);
  });
});
