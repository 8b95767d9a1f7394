/** The demo's command line. */
import { describe, expect, test } from "vitest";
import { parseDemoCommandLine } from "../../../src/demo/demo-options.ts";

describe("parseDemoCommandLine", () => {
  test("says what nobody has said", () => {
    expect(parseDemoCommandLine([], {})).toEqual({
      kind: "run",
      options: {
        clients: 200,
        poolSize: 8,
        port: 6432,
        runtime: "node",
        seconds: null,
        thinkMs: null,
        plain: false,
        showConfig: false,
      },
    });
  });

  test("reads values behind a blank and behind =; the last one counts", () => {
    const line = parseDemoCommandLine(
      ["--clients", "5", "--pool-size=2", "--seconds", "0.5", "--think=0", "--plain", "--clients=7", "--show-config"],
      {},
    );
    expect(line).toMatchObject({
      options: { clients: 7, poolSize: 2, seconds: 0.5, thinkMs: 0, plain: true, showConfig: true },
    });
  });

  test("the runtime is the option's, else the environment's", () => {
    expect(parseDemoCommandLine([], { PGCARPOOL_RUNTIME: "bun" })).toMatchObject({ options: { runtime: "bun" } });
    expect(parseDemoCommandLine([], { PGCARPOOL_RUNTIME: "" })).toMatchObject({ options: { runtime: "node" } });
    expect(parseDemoCommandLine(["--runtime", "node"], { PGCARPOOL_RUNTIME: "bun" })).toMatchObject({
      options: { runtime: "node" },
    });
    expect(parseDemoCommandLine([], { PGCARPOOL_RUNTIME: "deno" }).kind).toBe("wrong");
  });

  test.each([
    [["--clients", "0"], "--clients must be a whole number from 1 to 10000, not '0'"],
    [["--clients", "1.5"], "not '1.5'"],
    [["--port", "65536"], "--port must be"],
    [["--seconds", ""], "--seconds must be a number"],
    [["--pool-size"], "--pool-size needs a value"],
    [["--plain=yes"], "--plain takes no value"],
    [["--client", "5"], "there is no option --client"],
    [["5"], "there is no option 5"],
  ])("%j is wrong", (args, message) => {
    const line = parseDemoCommandLine(args, {});
    expect(line).toMatchObject({ kind: "wrong", message: expect.stringContaining(message) });
  });

  test("help names every option, whatever else is said", () => {
    const line = parseDemoCommandLine(["--port", "x", "-h"], {});
    if (line.kind !== "help") throw new Error("no help");
    for (const name of [
      "clients",
      "pool-size",
      "port",
      "runtime",
      "seconds",
      "think",
      "plain",
      "show-config",
      "help",
    ]) {
      expect(line.text).toContain(`--${name}`);
    }
  });
});
