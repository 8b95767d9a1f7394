/** The log file: there at once, appended to, followed through a rotation, an error when it cannot be opened. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { DescriptorWriter } from "../../../src/log/descriptor-writer.ts";
import { FileSink, LogFileError } from "../../../src/log/file-sink.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "log-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

describe("the file", () => {
  test("is appended to, and a line is in it when write returns", () => {
    const path = join(folder, "a.log");
    writeFileSync(path, "before\n");
    const sink = new FileSink(path);
    sink.write("one ä\n");
    expect(readFileSync(path, "utf8")).toBe("before\none ä\n");
    sink.write("two\n");
    expect(readFileSync(path, "utf8")).toBe("before\none ä\ntwo\n");
    sink.close();
    sink.write("lost\n");
    sink.close();
    expect(sink.lost).toBe(1);
    expect(readFileSync(path, "utf8")).toBe("before\none ä\ntwo\n");
  });

  test("is followed through a rotation, and to another path", () => {
    const path = join(folder, "a.log");
    const sink = new FileSink(path);
    sink.write("1\n");
    renameSync(path, `${path}.1`);
    sink.write("2\n");
    sink.reopen();
    sink.write("3\n");
    sink.reopen(join(folder, "b.log"));
    sink.write("4\n");
    sink.close();
    expect(["a.log.1", "a.log", "b.log"].map((name) => readFileSync(join(folder, name), "utf8"))).toEqual([
      "1\n2\n",
      "3\n",
      "4\n",
    ]);
    expect(sink.path).toBe(join(folder, "b.log"));
  });

  test("that cannot be opened is an error with PgBouncer's words", () => {
    const path = join(folder, "no", "such.log");
    expect(() => new FileSink(path)).toThrow(LogFileError);
    expect(() => new FileSink(path)).toThrow(`Cannot open logfile: '${path}': No such file or directory`);
    expect(() => new FileSink(folder)).toThrow(`Cannot open logfile: '${folder}': Is a directory`);
  });

  test("that cannot be opened anew leaves the open one in use", () => {
    const path = join(folder, "a.log");
    const sink = new FileSink(path);
    expect(() => sink.reopen(join(folder, "no", "such.log"))).toThrow(LogFileError);
    sink.write("still\n");
    sink.close();
    expect(sink.path).toBe(path);
    expect(readFileSync(path, "utf8")).toBe("still\n");
  });
});

describe("a descriptor", () => {
  test.skipIf(!existsSync("/dev/full"))("that takes nothing costs the line and no more", () => {
    const sink = new FileSink("/dev/full");
    sink.write("x\n");
    expect(sink.lost).toBe(1);
    sink.close();
  });

  test("that takes a few bytes at a time gets the whole line", () => {
    let taken = "";
    let turn = 0;
    const writer = new DescriptorWriter((_fd, bytes) => {
      const code = [undefined, "EAGAIN", "EINTR"][turn++ % 3];
      if (code !== undefined) throw Object.assign(new Error(code), { code });
      taken += Buffer.from(bytes.subarray(0, 3)).toString("latin1");
      return Math.min(3, bytes.length);
    });
    writer.write(2, "a line of some length\n");
    expect(taken).toBe("a line of some length\n");
    expect(writer.lost).toBe(0);
  });

  test("that is closed costs the line and no more", () => {
    const writer = new DescriptorWriter();
    writer.write(-1, "x\n");
    expect(writer.lost).toBe(1);
  });

  test("that is a full pipe nobody reads does not stop us for long", () => {
    // A child whose stderr is a non-blocking pipe that this process never reads while it runs.
    const program = `
      import { StderrSink } from ${JSON.stringify(new URL("../../../src/log/stderr-sink.ts", import.meta.url).href)};
      import { Socket } from "node:net";
      // Makes the descriptor non-blocking, as another process that shares it may have done.
      new Socket({ fd: 2 });
      const sink = new StderrSink();
      const line = "x".repeat(1023) + "\\n";
      let written = 0;
      while (sink.lost < 3 && written < 100000) { sink.write(line); written++; }
      process.stdout.write(JSON.stringify({ lost: sink.lost, written }), () => process.exit(0));
    `;
    const path = join(folder, "child.mts");
    writeFileSync(path, program);
    const starter = `
      import { spawn } from "node:child_process";
      const child = spawn(process.execPath, [${JSON.stringify(path)}], { stdio: ["ignore", "inherit", "pipe"] });
      child.stderr.pause();
      child.on("exit", (code) => process.exit(code ?? 1));
    `;
    const { stdout, status } = spawnSync(process.execPath, ["--input-type=module", "-e", starter], {
      encoding: "utf8",
    });
    expect(status).toBe(0);
    const { lost, written } = JSON.parse(stdout) as { lost: number; written: number };
    expect(lost).toBe(3);
    expect(written).toBeGreaterThan(3);
  });
});
