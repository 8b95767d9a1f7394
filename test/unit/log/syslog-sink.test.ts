/** Lines to syslog: the datagram to the letter, what is left out, and settings that change while it runs. */
import { describe, expect, test } from "vitest";
import { Logger } from "../../../src/log/logger.ts";
import type { LogLevel } from "../../../src/log/log-level.ts";
import { SyslogSink } from "../../../src/log/syslog-sink.ts";

const wallMs = new Date(2026, 6, 1, 8, 5, 9, 999).getTime();

function subject(more: Partial<{ syslog: boolean; syslogIdent: string; syslogFacility: string }> = {}) {
  const settings = { syslog: true, syslogIdent: "pgbouncer", syslogFacility: "daemon", ...more };
  const sent: string[] = [];
  const state = { settings, sent, isThere: true };
  const sink = new SyslogSink({
    settings,
    pid: 4711,
    wallTime: () => wallMs,
    send: (datagram) => {
      if (state.isThere) sent.push(Buffer.from(datagram).toString());
      return state.isThere;
    },
  });
  const log = new Logger({ pid: 4711, wallTime: () => wallMs, sinks: [sink], verbose: 3 });
  return { ...state, state, sink, log };
}

describe("a line", () => {
  test.each<[LogLevel, number]>([
    ["FATAL", 26],
    ["ERROR", 27],
    ["WARNING", 28],
    ["LOG", 30],
  ])("of level %s has priority %i, time, name, process and message", (level, priority) => {
    const { log, sent } = subject();
    log.write(level, "listening on 127.0.0.1:6432");
    expect(sent).toEqual([`<${priority}>Jul  1 08:05:09 pgbouncer[4711]: listening on 127.0.0.1:6432`]);
  });

  test("below LOG is not sent, whatever verbose says", () => {
    const { log, sent } = subject();
    log.debug("details");
    log.noise("more");
    expect(sent).toEqual([]);
  });

  test("of several lines is one datagram", () => {
    const { log, sent } = subject();
    log.log("one\ntwo");
    expect(sent).toEqual(["<30>Jul  1 08:05:09 pgbouncer[4711]: one\n\ttwo"]);
  });

  test.each([
    ["auth", 4],
    ["authpriv", 10],
    ["daemon", 3],
    ["user", 1],
    ["local0", 16],
    ["local7", 23],
    ["LOCAL0", 3],
    ["kern", 3],
    ["toString", 3],
    ["", 3],
  ])("of facility %j is from part %i", (syslogFacility, code) => {
    const { log, sent } = subject({ syslogFacility });
    log.log("x");
    expect(sent[0]).toMatch(new RegExp(`^<${code * 8 + 6}>`));
  });
});

test("settings hold from the next line on", () => {
  const { log, sent, settings } = subject({ syslog: false });
  log.log("1");
  Object.assign(settings, { syslog: true, syslogIdent: "pooler", syslogFacility: "local3" });
  log.log("2");
  settings.syslog = false;
  log.log("3");
  expect(sent).toEqual(["<158>Jul  1 08:05:09 pooler[4711]: 2"]);
});

test("lines that nobody takes are counted, and the next is tried again", () => {
  const { log, sent, sink, state } = subject();
  state.isThere = false;
  log.log("1");
  log.log("2");
  state.isThere = true;
  log.log("3");
  expect(sink.lost).toBe(2);
  expect(sent).toEqual(["<30>Jul  1 08:05:09 pgbouncer[4711]: 3"]);
});
