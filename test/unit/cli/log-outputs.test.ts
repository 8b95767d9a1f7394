/** Where lines go: nothing that was logged early is lost, and the log file follows SET and RELOAD. */
import { mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { LogOutputs } from "../../../src/cli/log-outputs.ts";
import { LogFileError } from "../../../src/log/file-sink.ts";
import { MemorySink } from "../../../src/log/log-sink.ts";

let folder: string;
let terminal: MemorySink;
let syslog: MemorySink;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "outputs-"));
  terminal = new MemorySink();
  syslog = new MemorySink();
});
afterEach(() => rmSync(folder, { recursive: true }));

const say = (outputs: LogOutputs, text: string): void => outputs.write(`${text}\n`, "LOG", text);
const contentOf = (name: string): string => readFileSync(join(folder, name), "utf8");

test("what was logged before the outputs were known reaches them, once and in order", () => {
  const outputs = new LogOutputs(false, terminal);
  say(outputs, "1");
  say(outputs, "2");
  outputs.open({ logfile: join(folder, "a") }, syslog);
  say(outputs, "3");
  expect(contentOf("a")).toBe("1\n2\n3\n");
  expect(terminal.lines).toEqual(["1", "2", "3"]);
  expect(syslog.lines).toEqual(["1", "2", "3"]);
});

test("quiet: nothing on the terminal, but for an end before there was a log", () => {
  const outputs = new LogOutputs(true, terminal);
  say(outputs, "1");
  expect(terminal.lines).toEqual([]);
  outputs.giveUp();
  outputs.giveUp();
  expect(terminal.lines).toEqual(["1"]);

  const opened = new LogOutputs(true, terminal);
  opened.open({ logfile: join(folder, "a") }, syslog);
  say(opened, "2");
  opened.giveUp();
  expect(terminal.lines).toEqual(["1"]);
  expect(contentOf("a")).toBe("2\n");
});

test("an end that everybody saw is not told twice", () => {
  const outputs = new LogOutputs(false, terminal);
  say(outputs, "1");
  outputs.giveUp();
  expect(terminal.lines).toEqual(["1"]);
});

test("a reload follows a rotation, another path, none, and one again", () => {
  const outputs = new LogOutputs(true, terminal);
  const setting = { logfile: join(folder, "a") };
  outputs.open(setting, syslog);
  say(outputs, "1");
  renameSync(join(folder, "a"), join(folder, "a.1"));
  say(outputs, "2");
  outputs.reopen();
  say(outputs, "3");
  setting.logfile = join(folder, "b");
  outputs.reopen();
  say(outputs, "4");
  setting.logfile = "";
  outputs.reopen();
  say(outputs, "5");
  setting.logfile = join(folder, "c");
  outputs.reopen();
  say(outputs, "6");
  expect(["a.1", "a", "b", "c"].map(contentOf)).toEqual(["1\n2\n", "3\n", "4\n", "6\n"]);
});

test("SET of a log file where there was none holds from the next line on", () => {
  const outputs = new LogOutputs(true, terminal);
  const setting = { logfile: "" };
  outputs.open(setting, syslog);
  say(outputs, "1");
  setting.logfile = join(folder, "a");
  say(outputs, "2");
  expect(contentOf("a")).toBe("2\n");
});

test("a log file that cannot be opened is an error; the open one stays", () => {
  const outputs = new LogOutputs(true, terminal);
  expect(() => outputs.open({ logfile: folder }, syslog)).toThrow(LogFileError);
  const setting = { logfile: join(folder, "a") };
  outputs.open(setting, syslog);
  setting.logfile = join(folder, "no", "such");
  expect(() => outputs.reopen()).toThrow(LogFileError);
  say(outputs, "still there");
  expect(contentOf("a")).toBe("still there\n");
});
