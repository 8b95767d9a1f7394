/** Log lines: format, levels, what strangers may put into them. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LocalTime } from "../../../src/log/local-time.ts";
import { LogLevel } from "../../../src/log/log-level.ts";
import { MemorySink } from "../../../src/log/log-sink.ts";
import { Logger, MESSAGE_LENGTH_MAX, tidyMessage } from "../../../src/log/logger.ts";

function logger(verbose = 0): { log: Logger; sink: MemorySink; time: { now: number } } {
  const sink = new MemorySink();
  const time = { now: new Date(2026, 6, 10, 20, 19, 13, 123).getTime() };
  const log = new Logger({ pid: 4711, wallTime: () => time.now, sinks: [sink], verbose });
  return { log, sink, time };
}

/** Without the zone, which is the machine's. */
function lines(sink: MemorySink): string[] {
  return sink.lines.map((line) => line.replace(/^(\S+ \S+) \S+ /, "$1 ZONE "));
}

describe("a line", () => {
  test("has PgBouncer's format", () => {
    const { log, sink, time } = logger();
    log.log("process up");
    time.now += 900;
    log.warning("pooler error: x");
    expect(lines(sink)).toEqual([
      "2026-07-10 20:19:13.123 ZONE [4711] LOG process up",
      "2026-07-10 20:19:14.023 ZONE [4711] WARNING pooler error: x",
    ]);
  });

  test("goes to every sink, with its parts", () => {
    const seen: string[] = [];
    const sink = {
      write: (line: string, level: LogLevel, message: string): void => {
        seen.push(`${level}|${message}|${line.endsWith(`[1] ${level} ${message}\n`)}`);
      },
    };
    const log = new Logger({ pid: 1, wallTime: () => 0, sinks: [sink, sink] });
    log.error("a\nb");
    log.setSinks([]);
    log.error("gone");
    expect(seen).toEqual(["ERROR|a\n\tb|true", "ERROR|a\n\tb|true"]);
  });

  test.each([
    [0, "FATAL ERROR WARNING LOG"],
    [1, "FATAL ERROR WARNING LOG DEBUG"],
    [2, "FATAL ERROR WARNING LOG DEBUG NOISE"],
  ])("with verbose=%i: %s", (verbose, levels) => {
    const { log, sink } = logger();
    log.verbose = verbose;
    log.fatal("m");
    log.error("m");
    log.warning("m");
    log.log("m");
    log.debug("m");
    log.noise("m");
    expect(lines(sink).map((line) => line.split(" ")[4])).toEqual(levels.split(" "));
    expect(
      Object.values(LogLevel)
        .filter((level) => log.shows(level))
        .join(" "),
    ).toBe(levels);
  });
});

describe("a message", () => {
  test.each([
    ["plain text, ä and 漢", "plain text, ä and 漢"],
    ["a\tb", "a\tb"],
    ["a\nb\n", "a\n\tb"],
    ["a\r\nb", "a\n\tb"],
    ["a\rb", "a?b"],
    ["\x1b[31mred\x00\x7f\x85\u2028x", "?[31mred????x"],
  ])("%j becomes %j", (message, tidy) => {
    expect(tidyMessage(message)).toBe(tidy);
  });

  test("is cut at the bound, never inside a character", () => {
    expect(tidyMessage("x".repeat(MESSAGE_LENGTH_MAX + 1))).toBe("x".repeat(MESSAGE_LENGTH_MAX));
    const cut = tidyMessage(`${"x".repeat(MESSAGE_LENGTH_MAX - 1)}🐘`);
    expect(cut).toBe("x".repeat(MESSAGE_LENGTH_MAX - 1));
  });

  const anything = fc
    .array(fc.constantFrom("\n", "\r", "\u2028", "\u0085", "\t", " ", "x", "🐘"))
    .map((parts) => parts.join(""));

  test("of any text cannot look like a line of its own", () => {
    fc.assert(
      fc.property(anything, anything, (a, b) => {
        const { log, sink } = logger();
        log.log(`${a}\n2026-07-10 20:19:13.123 UTC [4711] LOG forged${b}`);
        const [first = "", ...rest] = (sink.lines[0] ?? "").split(/\r\n|[\n\r\u0085\u2028\u2029]/);
        expect(first).toMatch(/^2026-07-10 20:19:13\.123 \S+ \[4711\] LOG /);
        for (const line of rest) expect(line).toMatch(/^\t/);
      }),
    );
  });
});

test("local time is the same as the calendar's, at any moment", () => {
  const localTime = new LocalTime();
  const two = (number: number): string => String(number).padStart(2, "0");
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 4_000_000_000_000 }), (ms) => {
      const date = new Date(ms);
      const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
      const expected = `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
      const whole = localTime.withMilliseconds(ms + 0.7);
      expect(whole.startsWith(`${expected}.${String(ms % 1000).padStart(3, "0")} `)).toBe(true);
      const zone = whole.slice(24);
      expect(zone).toMatch(/^[A-Z]+$|^[+-]\d{2}(\d{2})?$/);
      expect(localTime.withSeconds(ms)).toBe(`${expected} ${zone}`);
    }),
  );
});
