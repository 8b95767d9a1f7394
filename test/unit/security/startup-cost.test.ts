/** What a startup packet costs does not depend on how often it says the same thing. */
import { expect, test } from "vitest";
import { Stage } from "../../fuzz/stage.ts";
import { startupMessage } from "../../support/wire-client.ts";

test("a parameter that is named 2,300 times is taken once, with its last value", async () => {
  const options = Array.from({ length: 2300 }, (_, n) => `-cTimeZone=zone${n}`).join(" ");
  const stage = await Stage.open({ seed: 1 });
  try {
    await stage.seat();
    const { parameters } = stage.pooler.engine;
    const changes: string[] = [];
    const take = parameters.with.bind(parameters);
    parameters.with = (values, index, value) => {
      changes.push(value);
      return take(values, index, value);
    };
    const user = { user: "attacker", database: "shared" };
    stage.attack(startupMessage({ ...user, TimeZone: "UTC", application_name: "z".repeat(20_000), options }));
    await stage.pass(200);
    expect(stage.attacker.received.includes("application_name")).toBe(true);
    expect(changes.filter((value) => value.startsWith("zone"))).toEqual(["zone2299"]);
    expect(changes.length).toBeLessThan(10);
    await stage.leave();
    stage.check();
  } finally {
    stage.close();
  }
});
