/** The screen: what it says for given figures, and that it fits terminals of all sizes. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { liveScreen, type Scene } from "../../../src/demo/live-screen.ts";
import type { Figures } from "../../../src/demo/meter.ts";
import { sparkline } from "../../../src/demo/sparkline.ts";
import { printLine } from "../../../src/demo/styled-line.ts";
import { TerminalScreen } from "../../../src/demo/terminal-screen.ts";

const scene: Scene = {
  title: "pgcarpool 1.2.3 on Node 24.0.0",
  postgresVersion: "18.4",
  url: "postgres://demo:0123456789ab@127.0.0.1:6432/demo",
  consoleUrl: "postgres://demo:0123456789ab@127.0.0.1:6432/pgbouncer",
  iniPath: "/tmp/pgc-demo-0/pgbouncer.ini",
  clients: 200,
  poolSize: 8,
  tide: true,
  seconds: null,
};

const figures: Figures = {
  elapsedMs: 65_000,
  queriesPerS: 4812.4,
  history: [1000, 2000, 4812.4],
  latency: { p50Ms: 0.614, p95Ms: 14.12, p99Ms: 142 },
  clients: { all: 201, visitors: 1, served: 6, waiting: 12, idle: 183 },
  servers: 8,
  serversBusy: 5.7,
  queryMs: 0.4,
  waitMs: 0.02,
  cpuPercent: 14.2,
  memoryBytes: 74 * 1024 * 1024,
  backendBytes: 5 * 1024 * 1024,
  counts: { queries: 100, wrongAnswers: 0, errors: 0, lostConnections: 0, lastTrouble: "" },
};

function print(shown: Figures | null, columns: number, rows: number, colour = false): string[] {
  return liveScreen(scene, shown, columns, rows).map((line) => printLine(line, columns, colour));
}

function occurrences(text: string, part: string): number {
  return text.split(part).length - 1;
}

describe("liveScreen", () => {
  test("says each figure", () => {
    const text = print(figures, 100, 50).join("\n");
    for (const part of [
      "1:05 Ctrl-C ends it",
      "201 clients  ● 6 served  ◌ 12 waiting  · 183 idle  1 visitor!",
      "8 connections  ■ ■ ■ ■ ■ ■ □ □",
      "4,812 queries/s   at most 4,812",
      "p50 0.61 ms  p95 14.1 ms  p99 142 ms",
      "query 0.40 ms, wait for a server 0.02 ms",
      "14 % of a core, 74 MB",
      "8 processes, 40 MB",
      "without a pooler: 201 processes, about 1.0 GB",
    ]) {
      expect(text).toContain(part);
    }
    expect(text).not.toContain("Trouble");
  });

  test("a dot a client: as many of each kind as are counted", () => {
    const dots = print(figures, 100, 50)
      .filter((line) => /^ {14}[●◌·]/.test(line))
      .join("");
    expect([occurrences(dots, "●"), occurrences(dots, "◌"), occurrences(dots, "·")]).toEqual([6, 12, 183]);
  });

  test("very many clients: a dot stands for several, and no kind disappears", () => {
    const clients = { all: 5000, visitors: 0, served: 1, waiting: 2, idle: 4997 };
    const lines = print({ ...figures, clients }, 100, 50);
    const dots = lines.filter((line) => /^ {14}[●◌·]/.test(line)).join("");
    expect([occurrences(dots, "●"), occurrences(dots, "◌")]).toEqual([1, 1]);
    expect(lines.join("\n")).toContain("one dot: 17 clients");
  });

  test("missing figures are dashes, never zeros", () => {
    const unknown = { latency: null, clients: null, servers: null, queryMs: null, cpuPercent: null, memoryBytes: null };
    const text = print({ ...figures, ...unknown }, 100, 50).join("\n");
    expect(text).toContain("the console does not answer");
    expect(text).toContain("PostgreSQL does not answer");
    expect(text).toContain("p50 –");
    expect(text).toContain("– % of a core, –");
  });

  test("trouble is shown with its newest text", () => {
    const counts = { queries: 5, wrongAnswers: 0, errors: 2, lostConnections: 1, lastTrouble: "deadlock detected" };
    expect(print({ ...figures, counts }, 100, 50).join("\n")).toContain(
      "2 errors, 1 lost connection, 0 wrong answers: deadlock detected",
    );
  });

  test("fits a terminal of 80 columns and 24 rows without losing a letter", () => {
    const lines = liveScreen(scene, { ...figures, clients: { ...figures.clients!, all: 200, visitors: 0 } }, 80, 24);
    expect(lines.length).toBeLessThanOrEqual(24);
    for (const line of lines) expect(line.map(([, text]) => text).join("").length).toBeLessThanOrEqual(80);
  });

  test("fits any terminal, and what is to be copied is never cut", () => {
    fc.assert(
      fc.property(fc.integer({ min: 20, max: 300 }), fc.integer({ min: 8, max: 100 }), (columns, rows) => {
        const lines = print(figures, columns, rows);
        expect(lines.length).toBeLessThanOrEqual(rows);
        for (const line of lines) expect(line.length).toBeLessThanOrEqual(columns);
        expect(lines.join("")).toContain(scene.url);
      }),
    );
  });

  test("without colour there is no escape sequence", () => {
    expect(print(figures, 100, 50, true).join("")).toContain("\u001b[");
    expect(print(figures, 100, 50, false).join("")).not.toContain("\u001b");
  });
});

describe("sparkline", () => {
  test("the newest value is at the right, the largest reaches the top, and the smallest is seen", () => {
    expect(sparkline([0, 1, 100, 50], 6, 1)).toEqual(["   ▁█▄"]);
    expect(sparkline([50, 100], 2, 2)).toEqual([" █", "██"]);
    expect(sparkline([1, 2, 3], 2, 1)).toEqual(["▅█"]);
    expect(sparkline([], 3, 1)).toEqual(["   "]);
  });
});

describe("TerminalScreen", () => {
  test("writes only lines that have changed, everything after a resize, and gives the terminal back", () => {
    let written = "";
    let resized: () => void = () => undefined;
    let text = "one";
    const output = {
      columns: 10,
      rows: 5,
      write: (part: string) => (written += part),
      on: (_: "resize", listener: () => void) => (resized = listener),
      off: () => (resized = () => undefined),
    };
    const screen = new TerminalScreen(output, false, () => [[["plain", "fixed"]], [["plain", text]]]);
    const take = (): string => {
      const taken = written;
      written = "";
      return taken;
    };
    screen.draw();
    expect(take()).toBe("");
    screen.open();
    expect(take()).toMatch(/fixed.*one/s);
    text = "two";
    screen.draw();
    expect(take()).toBe("\u001b[2;1H\u001b[Ktwo");
    screen.draw();
    expect(take()).toBe("");
    resized();
    expect(take()).toMatch(/fixed.*two/s);
    screen.close();
    expect(take()).toBe("\u001b[?7h\u001b[?25h\u001b[?1049l");
    resized();
    screen.draw();
    screen.close();
    expect(take()).toBe("");
  });
});
