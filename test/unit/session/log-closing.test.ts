/** What is a defect of ours is in the log with its stack; what the network does to a connection is not. */
import { expect, test } from "vitest";
import { Logger } from "../../../src/log/logger.ts";
import { MemorySink } from "../../../src/log/log-sink.ts";
import { InvariantError } from "../../../src/pool/invariant.ts";
import type { Engine } from "../../../src/session/engine.ts";
import { logDefect } from "../../../src/session/log-closing.ts";

function linesFor(error: (Error & { code?: unknown }) | null): string[] {
  const sink = new MemorySink();
  const log = new Logger({ pid: 1, wallTime: () => 0, sinks: [sink] });
  logDefect({ log } as unknown as Engine, "C-1: db/ann@10.0.0.1:4711", error);
  return sink.lines;
}

test.each([
  ["a broken invariant", new InvariantError("a server is announced once")],
  ["a slip", new TypeError("server is null")],
])("%s is logged as an error, with where it happened", (_what, error) => {
  const [line] = linesFor(error);
  expect(line).toMatch(/ERROR C-1: db\/ann@10\.0\.0\.1:4711 broken invariant: .*(announced once|server is null)/);
  expect(line).toContain("log-closing.test.ts");
});

test.each([
  ["an orderly end", null],
  ["a reset", Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" })],
  ["a failed handshake", Object.assign(new Error("wrong version number"), { code: "ERR_SSL_WRONG_VERSION_NUMBER" })],
])("%s is not", (_what, error) => {
  expect(linesFor(error)).toEqual([]);
});
