/** Lines to the journal: priorities in front of every line, and when stderr is the journal. */
import { describe, expect, test } from "vitest";
import { DescriptorWriter } from "../../../src/log/descriptor-writer.ts";
import { JournalSink, isJournalStream } from "../../../src/log/journal-sink.ts";
import { Logger } from "../../../src/log/logger.ts";

describe("a line", () => {
  const written: [number, string][] = [];
  const sink = new JournalSink(
    new DescriptorWriter((fd, bytes) => {
      written.push([fd, Buffer.from(bytes).toString()]);
      return bytes.length;
    }),
  );
  const log = new Logger({ pid: 4711, wallTime: () => 0, sinks: [sink], verbose: 3 });

  test("has its priority, and neither time nor process", () => {
    log.fatal("f");
    log.error("e");
    log.warning("w");
    log.log("l");
    log.debug("d");
    log.noise("n");
    expect(written.splice(0)).toEqual(
      ["<2>f\n", "<3>e\n", "<4>w\n", "<6>l\n", "<7>d\n", "<7>n\n"].map((line) => [2, line]),
    );
  });

  test("of several is as many entries, each with the priority", () => {
    log.error("one\ntwo\nthree");
    expect(written.splice(0)).toEqual([[2, "<3>one\n<3>\ttwo\n<3>\tthree\n"]]);
    expect(sink.lost).toBe(0);
  });
});

describe("stderr is the journal", () => {
  const file = { dev: 9n, ino: 18446744073709551615n };

  test("when device and inode are the same", () => {
    expect(isJournalStream("9:18446744073709551615", file)).toBe(true);
  });

  test.each([
    undefined,
    "",
    "9",
    "9:",
    ":9",
    "8:18446744073709551615",
    "9:18446744073709551614",
    "9:1 ",
    "0x9:1",
    "-9:1",
  ])("not with JOURNAL_STREAM=%s", (stream) => {
    expect(isJournalStream(stream, file)).toBe(false);
  });
});
