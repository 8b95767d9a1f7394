/** A task that throws at the end of a turn, seen from the outside: in a process of its own. */
import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";

test("a task that throws keeps no other from running, and its error is not lost", () => {
  const script = `
    import { createAfterTurn } from ${JSON.stringify(new URL("../../../src/net/after-turn.ts", import.meta.url).href)};
    const afterTurn = createAfterTurn();
    process.on("uncaughtException", (error) => console.log(error.message));
    afterTurn(() => { throw new Error("fault"); });
    afterTurn(() => { console.log("other"); afterTurn(() => console.log("next")); });
  `;
  const { stdout } = spawnSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" });
  expect(stdout.trim().split("\n")).toEqual(["other", "fault", "next"]);
});
