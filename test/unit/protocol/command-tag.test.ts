/** Tags are compared whole. */

import { describe, expect, test } from "vitest";
import { commandComplete } from "../../../src/protocol/backend-messages.ts";
import { DEALLOCATE_ALL, DISCARD_ALL, hasCommandTag, makeCommandTag } from "../../../src/protocol/command-tag.ts";

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
